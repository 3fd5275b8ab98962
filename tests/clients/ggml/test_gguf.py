"""GGUF files of the gguf package are read and copied byte for byte; what bnq writes is what the package writes."""

import json
import os
import re
import resource
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf.constants import GGML_QUANT_SIZES

CLIENT = Path(os.environ["BNQ_CLI"]).resolve().parents[1] / "tests/clients/gguf_client"
READ_OTHERWISE = {"Q8_1"}  # the package counts 40 bytes a block, ggml 36; it lives in memory only


def run(*arguments: object, code: int = 0, limit: int = 200 << 20) -> str:
    """Runs the client; it may allocate `limit` bytes."""
    done = subprocess.run(
        [CLIENT, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def copy(source: Path, out: Path) -> Any:
    return json.loads(run("copy", source, out))


def add_values(writer: gguf.GGUFWriter) -> None:
    """What `gguf_client make` writes, in its order."""
    writer.add_quantization_version(2)
    writer.add_uint8("u8", 200)
    writer.add_int8("i8", -3)
    writer.add_uint16("u16", 60_000)
    writer.add_int16("i16", -30_000)
    writer.add_int32("i32", -5)
    writer.add_float32("f32", 0.5)
    writer.add_bool("yes", val=True)
    writer.add_bool("no", val=False)
    writer.add_uint64("u64", 2**64 - 1)
    writer.add_int64("i64", -(2**63))
    writer.add_float64("f64", 0.1)
    writer.add_token_list(["<s>", "β", " a"])
    writer.add_token_types([3, 1, -1])
    writer.add_token_scores([-0.5, 1e-3])


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_sample(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "bitnet")
    add_values(writer)
    writer.add_tensor("plain", np.arange(1, 7, dtype=np.float32).reshape(2, 3))
    packed = np.arange(132, dtype=np.uint8).reshape(2, 66)
    writer.add_tensor("packed", packed, raw_dtype=gguf.GGMLQuantizationType.TQ2_0)
    finish(writer)


def test_writes_what_the_package_writes(tmp_path: Path) -> None:
    write_sample(tmp_path / "package.gguf")
    run("make", tmp_path / "bnq.gguf")
    assert (tmp_path / "bnq.gguf").read_bytes() == (tmp_path / "package.gguf").read_bytes()


def test_the_bytes_on_the_page_are_those_of_the_package(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/formats/gguf.rst").read_text(encoding="utf-8")
    lines = re.findall(r"^ +(\d+)  ((?:[0-9a-f]{2,} ?)+)  ", page, re.MULTILINE)
    shown = b""
    for at, digits in lines:
        assert int(at) == len(shown)
        shown += bytes.fromhex(digits)
    writer = gguf.GGUFWriter(tmp_path / "small.gguf", "bitnet")
    writer.add_custom_alignment(16)
    writer.add_tensor("w", np.arange(1, 7, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("b", np.arange(1, 4, dtype=np.float16))
    finish(writer)
    assert (tmp_path / "small.gguf").read_bytes() == shown


def test_the_package_reads_what_bnq_writes(tmp_path: Path) -> None:
    run("make", tmp_path / "bnq.gguf")
    reader = gguf.GGUFReader(tmp_path / "bnq.gguf")
    assert reader.get_field("general.architecture").contents() == "bitnet"
    assert reader.get_field("u64").contents() == 2**64 - 1
    assert reader.get_field("i64").contents() == -(2**63)
    assert reader.get_field("tokenizer.ggml.tokens").contents() == ["<s>", "β", " a"]
    assert reader.get_field("tokenizer.ggml.scores").contents() == [-0.5, np.float32(1e-3)]
    plain, packed = reader.tensors
    assert (plain.name, packed.name) == ("plain", "packed")
    np.testing.assert_array_equal(plain.data, np.arange(1, 7, dtype=np.float32).reshape(2, 3))
    assert packed.tensor_type == gguf.GGMLQuantizationType.TQ2_0
    np.testing.assert_array_equal(packed.data.ravel(), np.arange(132))


def test_reads_what_the_package_writes(tmp_path: Path) -> None:
    write_sample(tmp_path / "in.gguf")
    contents = copy(tmp_path / "in.gguf", tmp_path / "out.gguf")
    assert (tmp_path / "out.gguf").read_bytes() == (tmp_path / "in.gguf").read_bytes()
    values = {key["name"]: key["value"] for key in contents["keys"] if key["name"] != "u64"}
    fields = {name: field.contents() for name, field in gguf.GGUFReader(tmp_path / "in.gguf").fields.items()}
    assert values == {name: fields[name] for name in values}
    assert len(values) == 15
    for tensor, stated in zip(gguf.GGUFReader(tmp_path / "in.gguf").tensors, contents["tensors"], strict=True):
        assert stated["name"] == tensor.name
        assert stated["type"] == tensor.tensor_type.name.lower()
        assert stated["shape"] == tensor.shape.tolist()[::-1]
        assert stated["offset"] == tensor.data_offset
        assert stated["nbytes"] == tensor.n_bytes


@pytest.mark.parametrize("alignment", [8, 32, 4096])
@pytest.mark.parametrize("name", sorted(t.name for t in gguf.GGMLQuantizationType if t.name not in READ_OTHERWISE))
def test_copies_every_type(tmp_path: Path, name: str, alignment: int) -> None:
    type_ = gguf.GGMLQuantizationType[name]
    length, nbytes = GGML_QUANT_SIZES[type_]
    writer = gguf.GGUFWriter(tmp_path / "in.gguf", "bitnet")
    writer.add_quantization_version(2)
    writer.add_custom_alignment(alignment)
    bytes_ = np.arange(3 * 2 * nbytes, dtype=np.uint8)
    writer.add_tensor("before", np.ones(3, dtype=np.float16))
    writer.add_tensor("w", bytes_.reshape(3, 2 * nbytes), raw_shape=(3, 2 * nbytes), raw_dtype=type_)
    writer.add_tensor("behind", np.ones((1, 2, 1, 3), dtype=np.int8))
    finish(writer)
    contents = copy(tmp_path / "in.gguf", tmp_path / "out.gguf")
    assert (tmp_path / "out.gguf").read_bytes() == (tmp_path / "in.gguf").read_bytes()
    assert contents["alignment"] == alignment
    w = contents["tensors"][1]
    assert (w["type"], w["shape"], w["nbytes"]) == (name.lower(), [3, 2 * length], 6 * nbytes)
    assert gguf.GGUFReader(tmp_path / "out.gguf").tensors[1].data.tobytes() == bytes_.tobytes()


def test_refuses_a_part_of_a_split_model(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "bitnet", split_max_tensors=1)
    for name in ("a", "b"):
        writer.add_tensor(name, np.ones(8, dtype=np.float32))
    finish(writer)
    parts = sorted(tmp_path.glob("model-*.gguf"))
    assert len(parts) == 2
    for part in parts:
        message = run("copy", part, tmp_path / "out.gguf", code=4)
        assert "split.count" in message
        assert "merge" in message


def test_refuses_big_endian_files(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "in.gguf", "bitnet", endianess=gguf.GGUFEndian.BIG)
    writer.add_tensor("a", np.ones(8, dtype=np.float32))
    finish(writer)
    assert "big-endian" in run("copy", tmp_path / "in.gguf", tmp_path / "out.gguf", code=4)
    assert not (tmp_path / "out.gguf").exists()


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def header(tensors: int, keys: int, rest: bytes) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", 3, tensors, keys) + rest


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 32)


def rows(count: int, offset: int) -> bytes:
    return b"".join(text(b"%060d" % i) + struct.pack("<IQIQ", 1, 8, 0, i * offset) for i in range(count))


def key(name: bytes, type_: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", type_) + value


GIANTS = {
    "most_rows_in_one_place": (4, lambda: header(2**18, 0, rows(2**18, 0)) + bytes(64)),
    "most_rows_and_their_data": (0, lambda: padded(header(2**18, 0, rows(2**18, 32))) + bytes(2**23)),
    "one_row_too_many": (4, lambda: header(2**18 + 1, 0, rows(2**18 + 1, 32)) + bytes(2**23 + 32)),
    "most_of_the_longest_names": (
        0,
        lambda: header(0, 1500, b"".join(key(b"%065534d" % i, 0, b"1") for i in range(1500))),
    ),
    "most_texts": (
        4,
        lambda: header(0, 1, key(b"a", 9, struct.pack("<IQ", 8, 12 * 10**6) + bytes(96 * 10**6 - 8) + b"\xff" * 8)),
    ),
    "a_text_of_a_terabyte": (4, lambda: header(0, 1, key(b"a", 8, struct.pack("<Q", 2**40)) + bytes(10**6))),
}


@pytest.mark.parametrize("name", GIANTS)
def test_giants_cost_little(tmp_path: Path, name: str) -> None:
    """No file takes long or asks for much memory, be it hostile; the client may allocate 200 MB."""
    code, make = GIANTS[name]
    data = make()
    (tmp_path / "in.gguf").write_bytes(data)
    start = time.monotonic()
    run("read", tmp_path / "in.gguf", code=code)
    assert time.monotonic() - start < 10  # one of them takes 0.5 s, the others less
