"""Low-bit checkpoints from one layout to another: codes stay, scales stay, and what cannot be is refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import bnq

Arrays = dict[str, np.ndarray]


@pytest.fixture
def codes(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(-1, 2, (24, 96)).astype(np.int8)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.safetensors"


def save(path: Path, tensors: Arrays) -> Path:
    save_file(tensors, path, metadata={"format": "pt", "author": "β"})
    return path


def same(a: bnq.QuantizedTensor, b: bnq.QuantizedTensor) -> bool:
    return np.array_equal(a.codes, b.codes) and a.scales.tobytes() == b.scales.tobytes() and a.scheme == b.scheme


@pytest.mark.parametrize(
    ("scheme", "layouts"),
    [
        ("ternary", ["u2_hf", "i32_ct", "i8"]),
        ("ternary:row", ["i32_ct", "i8"]),
        ("1", ["u1", "i8"]),
        ("4", ["i32_ct", "i8"]),
        ("8:row", ["i8"]),
    ],
)
def test_every_road_between_layouts_of_files(
    scheme: str, layouts: list[str], weights: np.ndarray, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    q = bnq.quantize(weights.astype(np.float16), scheme)
    bnq.save(source, {"a.weight": q, "norm": weights[0], "n": np.arange(3)})
    for first in layouts:
        result = bnq.convert(source, tmp_path / first, first)
        assert (result.tensors, result.copied, result.ternary_floats, result.scale_error) == (1, 2, 0, 0)
        assert result.file_bytes_out == (tmp_path / first).stat().st_size
        for second in layouts:
            bnq.convert(tmp_path / first, tmp_path / "out", second, force=True)
            loaded = bnq.load(tmp_path / "out")
            assert same(loaded["a.weight"], q)
            assert loaded["a.weight"].dequantize().dtype == np.float16
            assert np.array_equal(loaded["norm"], weights[0])
            assert np.array_equal(loaded["n"], np.arange(3))
            assert bnq.inspect(tmp_path / "out").tensors[0].layout == bnq.Layout(second)


def test_bytes_do_not_depend_on_threads_or_the_road(weights: np.ndarray, tmp_path: Path) -> None:
    bnq.save(tmp_path / "in", {"a": bnq.quantize(np.tile(weights, (64, 4)), "ternary"), "b": weights})
    bnq.convert(tmp_path / "in", tmp_path / "i8", "i8")
    files = []
    for threads in (1, 2, 5):
        bnq.set_num_threads(threads)
        bnq.convert(tmp_path / "i8", tmp_path / str(threads), "u2_hf")
        files.append((tmp_path / str(threads)).read_bytes())
    assert files == [(tmp_path / "in").read_bytes()] * 3


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_floats_that_are_ternary_become_exact_codes(
    dtype: type, codes: np.ndarray, weights: np.ndarray, tmp_path: Path, out: Path
) -> None:
    values = (codes * np.float32(0.37)).astype(dtype)
    plain = {"vector": values[0], "axes": values.reshape(4, 6, 96), "other": weights.astype(dtype)}
    plain |= {"zero": 0 * values, "nan": values.copy()}
    plain["nan"][0, 0] = np.nan
    source = save(tmp_path / "in", {"a.weight": values} | plain)
    result = bnq.convert(source, out, "u2_hf")
    assert (result.tensors, result.ternary_floats, result.copied) == (1, 1, len(plain))
    loaded = bnq.load(out)
    assert np.array_equal(loaded["a.weight"].codes, codes)
    assert loaded["a.weight"].dequantize().tobytes() == (values + dtype(0)).tobytes()
    for name, array in plain.items():
        assert loaded[name].tobytes() == array.tobytes(), name


def test_floats_are_refused(weights: np.ndarray, tmp_path: Path, out: Path) -> None:
    source = save(tmp_path / "in", {"a.weight": weights})
    with pytest.raises(bnq.BadContentError, match=r"quantizes nothing.*1 plain.*bnq quantize"):
        bnq.convert(source, out, "i8")
    assert not out.exists()


def test_a_tensor_without_a_place_is_named_before_work(weights: np.ndarray, tmp_path: Path, out: Path) -> None:
    tensors = {"a": bnq.quantize(weights, "ternary"), "b.weight": bnq.quantize(weights[:3], "ternary")}
    bnq.save(tmp_path / "in", tensors)
    calls: list[int] = []
    with pytest.raises(
        bnq.UnsupportedError, match=r"'b.weight'.*u2_hf cannot hold it: it needs rows in mult.*has 3.*i8"
    ):
        bnq.convert(tmp_path / "in", out, "u2_hf", progress=lambda done, _: calls.append(done))
    assert calls == []
    assert not out.exists()


@pytest.mark.parametrize("layout", ["tq2_0", "i2_s", "i2_s_arm", "u4_ort"])
def test_layouts_without_a_place_in_such_a_file(layout: str, weights: np.ndarray, tmp_path: Path, out: Path) -> None:
    bnq.save(tmp_path / "in", {"a": bnq.quantize(weights, "ternary")})
    with pytest.raises(bnq.UnsupportedError, match=f"got {layout}, need one of u1, u2_hf, i32_ct, i8"):
        bnq.convert(tmp_path / "in", out, layout)


def test_a_name_that_a_part_needs(weights: np.ndarray, tmp_path: Path, out: Path) -> None:
    bnq.save(tmp_path / "in", {"a": bnq.quantize(weights, "ternary"), "a_shape": weights})
    with pytest.raises(bnq.BadContentError, match=r"'a_shape'.*its name is needed"):
        bnq.convert(tmp_path / "in", out, "i32_ct")


def bitnet_folder(path: Path, codes: np.ndarray, scale: float, linear_class: str) -> Path:
    """As transformers packs it: rows r, r + N/4, … of a byte, code + 1."""
    path.mkdir()
    fields = (codes + 1).astype(np.uint8).reshape(4, -1, codes.shape[1])
    packed = fields[0] | fields[1] << 2 | fields[2] << 4 | fields[3] << 6
    stored = np.array([scale]).astype(ml_dtypes.bfloat16)
    save(path / "model.safetensors", {"a.weight": packed, "a.weight_scale": stored})
    quantization = {"quant_method": "bitnet", "linear_class": linear_class}
    (path / "config.json").write_text(json.dumps({"torch_dtype": "bfloat16", "quantization_config": quantization}))
    return path


@pytest.mark.parametrize("stated", [("autobitlinear", 1.25, 1.25), ("bitlinear", 8, 0.125)])
def test_a_folder_of_transformers(
    stated: tuple[str, float, float], codes: np.ndarray, tmp_path: Path, out: Path
) -> None:
    linear_class, stored, scale = stated
    source = bitnet_folder(tmp_path / "in", codes, stored, linear_class)
    for layout in ("i8", "u2_hf", "i32_ct"):
        bnq.convert(source, out, layout, force=True)
        q = bnq.load(out)["a.weight"]
        assert np.array_equal(q.codes, codes)
        assert q.scales.tolist() == [scale]
    assert load_file(out)["a.weight_scale"].dtype == np.float32


def test_the_convention_is_asked_for(codes: np.ndarray, tmp_path: Path, out: Path) -> None:
    source = bitnet_folder(tmp_path / "in", codes, 1.0, "")
    with pytest.raises(bnq.BadContentError, match="--scales"):
        bnq.convert(source, out, "i8")
    bnq.convert(source, out, "i8", scales="inverse")
    with pytest.raises(bnq.InvalidArgumentError, match="lies in the input folder"):
        bnq.convert(source, source / "x", "i8", scales="inverse")


@pytest.mark.parametrize("strategy", ["channel", "group"])
def test_a_folder_of_compressed_tensors(strategy: str, rng: np.random.Generator, tmp_path: Path, out: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    codes = rng.integers(-8, 8, (24, 96)).astype(np.int8)
    scales = rng.random((24, 1 if strategy == "channel" else 3)).astype(ml_dtypes.bfloat16) + ml_dtypes.bfloat16(0.5)
    save(source / "model.safetensors", {"a.weight": codes, "a.weight_scale": scales})
    weights = {"num_bits": 4, "type": "int", "strategy": strategy, "symmetric": True}
    weights |= {"group_size": 32} if strategy == "group" else {}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    stated = {"quant_method": "compressed-tensors", "format": "int-quantized", "config_groups": groups}
    (source / "config.json").write_text(json.dumps({"quantization_config": stated}))
    bnq.convert(source, out, "i32_ct")
    q = bnq.load(out)["a.weight"]
    assert np.array_equal(q.codes, codes)
    assert q.scales.tobytes() == scales.astype(np.float32).tobytes()
    with pytest.raises(bnq.UnsupportedError, match=r"'a.weight'.*u2_hf cannot hold it.*int4-given"):
        bnq.convert(source, tmp_path / "out2", "u2_hf")


def test_progress_and_stopping(weights: np.ndarray, tmp_path: Path, out: Path) -> None:
    bnq.save(tmp_path / "in", {"a": bnq.quantize(weights, "ternary"), "b": weights})
    seen: list[tuple[int, int]] = []
    bnq.convert(tmp_path / "in", out, "i8", progress=lambda *done: seen.append(done))
    assert seen[0][0] == 0
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    with pytest.raises(bnq.Interrupted):
        bnq.convert(tmp_path / "in", tmp_path / "other", "i8", progress=lambda done, _: done == 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out.safetensors"]


BAD: list[Callable[[Any], Any]] = [
    lambda path: bnq.convert(3, path, "i8"),
    lambda path: bnq.convert(path, None, "i8"),
    lambda path: bnq.convert(path, "x", "int8"),
    lambda path: bnq.convert(path, "x", 8),
    lambda path: bnq.convert(path, "x", "i8", strict="no"),
    lambda path: bnq.convert(path, "x", "i8", scales="other"),
    lambda path: bnq.convert(path, path, "i8"),
]


@pytest.mark.parametrize("call", BAD)
def test_what_has_no_meaning(call: Callable[[Any], Any], codes: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match=r"got|one file"):
        call(save(tmp_path / "in", {"a": codes.astype(np.float32)}))
