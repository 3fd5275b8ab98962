"""The example of docs/bitnet_quantizer.rst: word for word, with its missing import, and as the file that is shown."""

import runpy
import textwrap
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


def example() -> str:
    page = (ROOT / "docs/bitnet_quantizer.rst").read_text(encoding="utf-8")
    block = page.split(".. code-block:: python\n", 1)[1].split("\nNotes\n", 1)[0]
    return textwrap.dedent(block)


def run(code: str, names: dict[str, object]) -> dict[str, object]:
    exec(compile(code, "bitnet_quantizer.rst", "exec"), names)
    return names


def check(names: dict[str, object]) -> None:
    layer, quantized = names["layer"], names["quantized_weights"]
    original = names["original_weights"]
    assert original.shape == layer.weight.shape == (256, 512)
    assert original.dtype == layer.weight.dtype
    assert type(original) is torch.Tensor
    # Half a scale, and 2^-15 of it for the two roundings of division and product (docs/schemes.rst, absmax).
    assert ((original - layer.weight).abs() <= quantized.scales * 0.5 * (1 + 2**-15)).all()
    assert names["quantized_activations"].shape == (1, 256)


def test_word_for_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert "import torch\n" not in example()
    check(run(example(), {"torch": torch}))
    assert capsys.readouterr().out == "Quantization complete.\n"


def test_needs_its_missing_import() -> None:
    with pytest.raises(NameError, match="torch"):
        run(example(), {})


def test_with_its_missing_import() -> None:
    check(run("import torch\n" + example(), {}))


def test_the_file_in_examples(capsys: pytest.CaptureFixture[str]) -> None:
    check(runpy.run_path(str(ROOT / "examples/quantize_layer.py")))
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "BitNetQuantizer(weights=int8-absmax:row, activations=int8-token:row)"
    assert out[-1] == "Quantization complete."


def test_the_file_holds_every_line_of_the_page() -> None:
    shown = (ROOT / "examples/quantize_layer.py").read_text(encoding="utf-8").splitlines()
    assert [line for line in example().splitlines() if line and line not in shown] == []


def test_the_tour(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples/python_tour.py"))
    assert capsys.readouterr().out.splitlines()[-1] == "(1, 256) True"
