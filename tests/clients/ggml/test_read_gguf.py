"""GGUF files in: inspect, load, dequantize, convert; files of the gguf package, and what no file says."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf.constants import GGMLQuantizationType as Type
from models import run_bnq
from safetensors.numpy import load_file

import bnq

I2_S = 36


@pytest.fixture
def codes() -> np.ndarray:
    return np.random.default_rng(3).integers(-1, 2, (8, 512)).astype(np.int8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def write(path: Path, tensors: dict[str, tuple[np.ndarray, Type | None]], architecture: str = "llama") -> None:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_quantization_version(2)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    for name, (values, kind) in tensors.items():
        data = values if kind is None else gguf.quants.quantize(values, kind)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def floats(codes: np.ndarray, scale: float = 0.5) -> np.ndarray:
    return codes * np.float32(scale)


@pytest.mark.parametrize("kind", [Type.TQ1_0, Type.TQ2_0, Type.Q8_0, Type.Q4_0])
def test_what_the_package_wrote(kind: Type, codes: np.ndarray, path: Path, tmp_path: Path) -> None:
    norm = np.linspace(1, 2, 512, dtype=np.float32)
    write(path, {"blk.0.ffn_up.weight": (floats(codes), kind), "output_norm.weight": (norm, None)})
    need = gguf.quants.dequantize(gguf.quants.quantize(floats(codes), kind), kind)
    loaded = bnq.load(path)
    assert np.array_equal(loaded["blk.0.ffn_up.weight"].dequantize(), need)
    assert np.array_equal(loaded["output_norm.weight"], norm)
    bnq.dequantize_checkpoint(path, tmp_path / "floats")
    assert np.array_equal(load_file(tmp_path / "floats")["blk.0.ffn_up.weight"], need)
    tensors = {t.name: t for t in bnq.inspect(path).tensors}
    assert tensors["blk.0.ffn_up.weight"].layout == bnq.Layout(kind.name.lower())
    assert tensors["blk.0.ffn_up.weight"].shape == (8, 512)
    text = run_bnq("inspect", path).stdout
    assert "written by GGUF llama" in text
    bnq.convert(path, tmp_path / "out", "i8")
    assert np.array_equal(bnq.load(tmp_path / "out")["model.layers.0.mlp.up_proj.weight"].dequantize(), need)


def test_rows_of_llama_are_put_back(codes: np.ndarray, path: Path, tmp_path: Path) -> None:
    weights = floats(codes)
    in_pairs = weights.reshape(2, 2, 2, 512).swapaxes(1, 2).reshape(8, 512)
    plain = {"blk.0.attn_q.weight": (in_pairs, Type.TQ2_0), "blk.0.attn_v.weight": (in_pairs, Type.TQ2_0)}
    write(path, plain | {"token_embd.weight": (in_pairs, None)})
    bnq.convert(path, tmp_path / "out", "u2_hf")
    loaded = bnq.load(tmp_path / "out")
    assert np.array_equal(loaded["model.layers.0.self_attn.q_proj.weight"].dequantize(), weights)
    assert np.array_equal(loaded["model.layers.0.self_attn.v_proj.weight"].dequantize(), in_pairs)
    bnq.convert(path, tmp_path / "kept", "u2_hf", keep_names=True)
    assert np.array_equal(bnq.load(tmp_path / "kept")["blk.0.attn_q.weight"].dequantize(), in_pairs)
    bnq.convert(path, tmp_path / "qwen", "u2_hf", force=True)
    write(path, plain, architecture="qwen2")
    bnq.convert(path, tmp_path / "qwen", "u2_hf", force=True)
    assert np.array_equal(bnq.load(tmp_path / "qwen")["model.layers.0.self_attn.q_proj.weight"].dequantize(), in_pairs)


def test_one_scale_a_row_or_block_stays(codes: np.ndarray, path: Path, tmp_path: Path) -> None:
    rows = floats(codes) * np.arange(1, 9, dtype=np.float32)[:, None]
    blocks = rows.copy()
    blocks[0, :256] *= 4
    write(path, {"blk.0.ffn_up.weight": (rows, Type.TQ2_0), "blk.0.ffn_gate.weight": (blocks, Type.TQ2_0)})
    bnq.convert(path, tmp_path / "out", "i8")
    loaded = bnq.load(tmp_path / "out")
    up, gate = (loaded[f"model.layers.0.mlp.{name}_proj.weight"] for name in ("up", "gate"))
    assert (str(up.scheme), str(gate.scheme)) == ("ternary-absmean:row", "ternary-absmean:group(256)")
    assert np.array_equal(up.dequantize(), rows)
    assert np.array_equal(gate.dequantize(), blocks)
    with pytest.raises(bnq.UnsupportedError, match=r"ffn_gate.*u2_hf cannot hold it: it has one scale"):
        bnq.convert(path, tmp_path / "u2", "u2_hf")


def test_from_gguf_to_gguf(codes: np.ndarray, path: Path, tmp_path: Path) -> None:
    write(
        path,
        {
            "blk.0.attn_q.weight": (floats(codes), Type.TQ2_0),
            "x": (floats(codes[:1, :3]) + np.arange(3, dtype=np.float32), None),
        },
        "unheard",
    )
    result = bnq.convert(path, tmp_path / "out.gguf", "iq2_bn")
    assert result.scale_error == 0
    loaded = bnq.load(tmp_path / "out.gguf")
    assert np.array_equal(loaded["blk.0.attn_q.weight"].codes, codes)
    assert np.array_equal(loaded["x"], floats(codes[:1, :3]) + np.arange(3, dtype=np.float32))
    assert "written by GGUF unheard" in run_bnq("inspect", tmp_path / "out.gguf").stdout


def i2_s_file(path: Path, codes: np.ndarray) -> None:
    data = np.ascontiguousarray(bnq.pack(bnq.quantize(floats(codes), "ternary"), "i2_s").data)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_quantization_version(2)
    writer.add_tensor("blk.0.ffn_up.weight", data.view(np.int8).reshape(-1))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    raw = bytearray(path.read_bytes())
    at = raw.index(b"blk.0.ffn_up.weight") + len("blk.0.ffn_up.weight")
    shape = np.array([2], "<u4").tobytes() + np.array([512, 8], "<u8").tobytes() + np.array([I2_S], "<u4").tobytes()
    tail = raw[at + 4 + 8 + 4 : at + 4 + 8 + 4 + 8]
    start = len(raw) - data.nbytes
    head = raw[:at] + shape + tail
    path.write_bytes(head + bytes(-len(head) % 32) + raw[start:])


def test_the_order_of_i2_s_is_asked_for(codes: np.ndarray, path: Path, tmp_path: Path) -> None:
    i2_s_file(path, codes)
    for call in (bnq.load, bnq.inspect, lambda p: bnq.convert(p, tmp_path / "out", "i8")):
        with pytest.raises(bnq.BadContentError, match=r"'blk.0.ffn_up.weight'.*three orders.*--gguf-type i2_s "):
            call(path)
    assert "--gguf-type" in run_bnq("dequantize", path, tmp_path / "out", code=4).stderr
    assert np.array_equal(bnq.load(path, gguf_types="i2_s")["blk.0.ffn_up.weight"].codes, codes)
    assert not np.array_equal(bnq.load(path, gguf_types=["i2_s_arm"])["blk.0.ffn_up.weight"].codes, codes)
    assert bnq.inspect(path, gguf_types="i2_s_1x4").tensors[0].layout == bnq.Layout("i2_s_1x4")
    run_bnq("convert", path, tmp_path / "out", "--to", "u2_hf", "--gguf-type", "i2_s")
    run_bnq("dequantize", path, tmp_path / "floats", "--gguf-type", "i2_s")
    assert np.array_equal(load_file(tmp_path / "floats")["blk.0.ffn_up.weight"], floats(codes))


def test_what_bnq_does_not_read_is_listed_and_goes_nowhere(codes: np.ndarray, path: Path, tmp_path: Path) -> None:
    write(path, {"a": (floats(codes), Type.TQ2_0), "b": (floats(codes), Type.Q5_0)})
    assert "type q5_0 (6) of 'b'" in run_bnq("inspect", path).stdout
    calls: list[Any] = [
        lambda: bnq.load(path),
        lambda: bnq.convert(path, tmp_path / "out", "i8"),
        lambda: bnq.dequantize_checkpoint(path, tmp_path / "out"),
    ]
    for call in calls:
        with pytest.raises(bnq.BadContentError, match=r"does not read.*q5_0 \(6\) of 'b'"):
            call()


def test_what_has_no_name_elsewhere(codes: np.ndarray, path: Path, tmp_path: Path) -> None:
    tensors: dict[str, Any] = {"blk.0.ffn_up.weight": (floats(codes), Type.TQ2_0)}
    write(path, tensors, "unheard")
    with pytest.raises(bnq.UnsupportedError, match=r"called elsewhere \(got 'unheard'\).*--keep-names"):
        bnq.convert(path, tmp_path / "out", "i8")
    run_bnq("convert", path, tmp_path / "out", "--to", "i8", "--keep-names")
    assert bnq.load(tmp_path / "out").keys() == tensors.keys()
    write(path, tensors | {"blk.0.extra.weight": (floats(codes), Type.TQ2_0)})
    with pytest.raises(bnq.UnsupportedError, match=r"'blk.0.extra.weight'.*no name outside of GGUF.*--keep-names"):
        bnq.convert(path, tmp_path / "out", "i8", force=True)


def test_quantizing_one_is_refused(codes: np.ndarray, path: Path, tmp_path: Path) -> None:
    write(path, {"a.weight": (floats(codes), None)})
    with pytest.raises(bnq.UnsupportedError, match="this is a GGUF file"):
        bnq.quantize_checkpoint(path, tmp_path / "out", 8)


@pytest.mark.parametrize("bad", ["x", ["i2_s", 3], 3, ["q2_0", "y"]])
def test_unknown_types(bad: Any, codes: np.ndarray, path: Path) -> None:
    write(path, {"a.weight": (floats(codes), None)})
    with pytest.raises(bnq.InvalidArgumentError, match=r"gguf.type.*got"):
        bnq.load(path, gguf_types=bad)
