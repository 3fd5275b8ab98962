"""config.json of a model folder: what is read of it, and that the rest goes through byte for byte."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

Run = Callable[..., Any]

NAMES = ("model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj", "model.embed_tokens")
ODD = """{
    "architectures" : ["LlamaForCausalLM"],
  "tie_word_embeddings": true, "big": 123456789012345678901234567890, "small": 1e-05, "one": 1.0,
  "limits": [NaN, Infinity, -Infinity], "text": "NaN, \\"Infinity\\" and } \\\\", "empty": {}, "\\u00e9": "\\u00e9"
}

"""


def write_folder(folder: Path, config: str) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    tensors = {f"{name}.weight": rng.normal(size=(64, 64)).astype(np.float32) for name in NAMES}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(config)
    return folder


def without_end(text: str) -> str:
    return text.rstrip().removesuffix("}").rstrip()


@pytest.mark.parametrize(
    "config", [ODD, '{"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": true}', "{}", "{ }\n"]
)
@pytest.mark.parametrize("scheme", ["8", "ternary"])
def test_all_but_the_quantization_stays_byte_for_byte(bnq: Run, tmp_path: Path, config: str, scheme: str) -> None:
    write_folder(tmp_path / "in", config)
    bnq("quantize", "in", "out", "--scheme", scheme)
    written = (tmp_path / "out" / "config.json").read_text()
    assert written.startswith(without_end(config))
    before = json.loads(config)
    after = json.loads(written)
    assert list(after) == [*before, "quantization_config"]
    bnq("dequantize", "out", "back")
    assert (tmp_path / "back" / "config.json").read_text() == config


def test_a_null_makes_room(bnq: Run, tmp_path: Path) -> None:
    config = '{"quantization_config": null, "architectures": ["LlamaForCausalLM"], "compression_config": null}'
    write_folder(tmp_path / "in", config)
    bnq("quantize", "in", "out")
    after = json.loads((tmp_path / "out" / "config.json").read_text())
    assert list(after) == ["architectures", "quantization_config"]


def test_a_key_may_be_spelled_with_escapes(bnq: Run, tmp_path: Path) -> None:
    write_folder(tmp_path / "in", '{"a": ["quantization_config"], "quantizatio\\u006e_config": null, "b": "]"}')
    bnq("quantize", "in", "out")
    after = json.loads((tmp_path / "out" / "config.json").read_text())
    assert list(after) == ["a", "b", "quantization_config"]


def test_nothing_stands_behind_a_byte_of_zero(bnq: Run, tmp_path: Path) -> None:
    write_folder(tmp_path / "in", '{"architectures": ["LlamaForCausalLM"]}\0 }')
    assert "a byte of zero" in bnq("quantize", "in", "out", code=4).stderr


@pytest.mark.parametrize("token", ["nan", "Nan", "-NaN", "Infinit", "+Infinity", "NaNNaN"])
def test_other_words_are_not_json(bnq: Run, tmp_path: Path, token: str) -> None:
    write_folder(tmp_path / "in", f'{{"a": {token}}}')
    assert "is not JSON" in bnq("quantize", "in", "out", code=4).stderr


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_word_is_no_key(bnq: Run, tmp_path: Path, word: str) -> None:
    """Python's own JSON stops there too."""
    write_folder(tmp_path / "in", f'{{"a": {word}, {word} : 1}}')
    assert "is not JSON" in bnq("quantize", "in", "out", code=4).stderr


def test_a_byte_order_mark_is_refused(bnq: Run, tmp_path: Path) -> None:
    write_folder(tmp_path / "in", '\ufeff{"architectures": ["LlamaForCausalLM"]}')
    assert "byte 0: is not JSON (got a byte order mark)" in bnq("quantize", "in", "out", code=4).stderr


def test_a_count_is_never_made_of_nan(bnq: Run, tmp_path: Path) -> None:
    quantization = '{"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": NaN}}}}'
    write_folder(tmp_path / "in", f'{{"quantization_config": {quantization}}}')
    assert "'num_bits' is no count" in bnq("inspect", "in", code=4).stderr


WEIGHTS = {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": True}
INT = {
    "quant_method": "compressed-tensors",
    "format": "int-quantized",
    "config_groups": {"group_0": {"targets": ["Linear"], "weights": WEIGHTS}},
}


def write_codes(folder: Path, config: dict[str, Any]) -> Path:
    folder.mkdir()
    codes = {"a.weight": np.ones((4, 32), np.int8), "a.weight_scale": np.ones((4, 1), np.float32)}
    save_file(codes, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("other", [{}, {"quantization_config": None}])
def test_the_older_key_is_read_and_leaves_with_the_codes(bnq: Run, tmp_path: Path, other: dict[str, Any]) -> None:
    write_codes(tmp_path / "in", {"compression_config": INT} | other)
    assert "int8" in bnq("inspect", "in").stdout
    bnq("dequantize", "in", "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == {}


@pytest.mark.parametrize("part", ["text_config", "llm_config"])
def test_a_quantized_part_of_a_model_is_no_float_model(bnq: Run, tmp_path: Path, part: str) -> None:
    import bnq as package

    write_codes(tmp_path / "in", {part: {"quantization_config": INT}})
    assert f"a quantization_config inside '{part}'" in bnq("inspect", "in").stdout
    for verb in (["dequantize", "in", "out"], ["quantize", "in", "out"], ["verify", "in", "in"]):
        bnq(*verb, code=4)
    with pytest.raises(package.BadContentError, match=part):
        package.load(tmp_path / "in")


def test_what_was_dequantized_may_be_replaced(bnq: Run, tmp_path: Path) -> None:
    write_folder(tmp_path / "in", '{"architectures": ["LlamaForCausalLM"]}')
    bnq("quantize", "in", "out")
    bnq("dequantize", "out", "back")
    bnq("dequantize", "out", "back", "--force")
    bnq("quantize", "back", "again")
    codes = [package_bytes(tmp_path / name) for name in ("out", "again")]
    assert codes[0] == codes[1]


def package_bytes(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("option", "name"), [("--head", "head"), ("--embeddings", "embeddings")])
def test_a_choice_without_a_hit_is_said(bnq: Run, tmp_path: Path, option: str, name: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    save_file({"a.weight": np.ones((4, 32), np.float32)}, folder / "model.safetensors", {"format": "pt"})
    assert f"rule '{name}=8' hits no tensor" in bnq("quantize", "in", "out", option, "8").stderr
    file = "in/model.safetensors"
    assert f"rule '{name}=8': hits no tensor" in bnq("quantize", file, "more", option, "8", "--strict", code=2).stderr


@pytest.mark.parametrize(
    ("architecture", "names"),
    [
        ("Qwen2ForCausalLM", ["layers.0.self_attn.q_proj", "embed_tokens"]),
        ("LlamaForCausalLM", ["language_model.model.layers.0.self_attn.q_proj"]),
        ("BertModel", ["bert.encoder.layer.0.attention.self.query"]),
        ("BertForMaskedLM", ["encoder.layer.0.attention.self.query"]),
    ],
)
@pytest.mark.parametrize("scheme", ["8", "4", "ternary"])
def test_names_that_transformers_would_change_are_for_bnq_only(
    bnq: Run, tmp_path: Path, architecture: str, names: list[str], scheme: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    tensors = {f"{name}.weight": np.ones((64, 128), np.float32) for name in names}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    done = bnq("quantize", "in", "out", "--scheme", scheme, "--strict", code=2)
    assert f"is no name of a weight of {architecture}" in done.stderr
    bnq("quantize", "in", "out", "--scheme", scheme)
    assert "quant_method" not in (tmp_path / "out" / "config.json").read_text()


def test_other_weights_that_the_config_names_are_not_passed_over(bnq: Run, tmp_path: Path) -> None:
    write_folder(
        tmp_path / "in", '{"architectures": ["LlamaForCausalLM"], "transformers_weights": "other.safetensors"}'
    )
    assert "'other.safetensors', need model.safetensors" in bnq("quantize", "in", "out", code=4).stderr
