"""Bad input gets a clear message and its exit code; nothing is written."""

import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
ONE = '{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}'
ELSEWHERE = '{"version":"0.1.0","tensors":{"y":{"scheme":"int8-absmax:row","layout":"i8","dtype":"f32","shape":[2,2]}}}'
LYING = {
    "no json": ("{", b""),
    "not an object": ("[]", b""),
    "too few bytes": ({"x": ENTRY}, bytes(12)),
    "too many bytes": ({"x": ENTRY}, bytes(20)),
    "shape and bytes disagree": ({"x": {**ENTRY, "shape": [2, 3]}}, bytes(16)),
    "overlap": ({"x": ENTRY, "y": ENTRY}, bytes(16)),
    "negative size": ({"x": {**ENTRY, "shape": [-2, -2]}}, bytes(16)),
    "overflowing size": ({"x": {**ENTRY, "shape": [2**33, 2**33]}}, bytes(16)),
    "unknown dtype": ({"x": {**ENTRY, "dtype": "F128"}}, bytes(16)),
    "twice": (f'{{"x": {ONE}, "x": {ONE}}}', bytes(4)),
    "broken bnq entry": ({"__metadata__": {"bnq": "{"}, "x": ENTRY}, bytes(16)),
    "bnq entry without its tensors": ({"__metadata__": {"bnq": ELSEWHERE}, "x": ENTRY}, bytes(16)),
}


def commands(path):
    return [["quantize", path, "out"], ["dequantize", path, "out"], ["inspect", path], ["verify", path, path]]


@pytest.mark.parametrize("lie", LYING)
@pytest.mark.parametrize("verb", [0, 1, 2, 3])
def test_a_lying_file_is_bad_content(bnq, raw_file, lie, verb):
    path = raw_file(*LYING[lie])
    result = bnq(*commands(path)[verb], code=4)
    assert result.stdout == ""
    assert "raw.safetensors" in result.stderr
    assert [p.name for p in path.parent.iterdir()] == [path.name]


BROKEN = {
    '{"x": ': "header, byte 14: is not JSON (got unexpected end of input)",
    "{'x'": "header, byte 9: is not JSON (got invalid literal)",
    '{"__metadata__": [1]}': "wrong value for '__metadata__' (got an array, need an object of texts)",
    '{"__metadata__": {"k": 1}}': "wrong value for 'k' (got a number, need text)",
    '{"x": 1}': "wrong value for 'x' (got a number, need an object with dtype, shape and data_offsets)",
    '{"x": {"dtype": 3}}': "wrong value for 'dtype' (got a number, need a dtype's name)",
    '{"x": {"shape": [1.5]}}': "wrong value for 'shape' (got 1.5, need whole numbers in an array)",
    '{"__metadata__": {"bnq": "{"}}': "metadata 'bnq', byte 1: is not JSON (got unexpected end of input)",
    '{"__metadata__": {"bnq": "{}"}}': "lacks what it needs (got key 'form' not found)",
}


@pytest.mark.parametrize("header", BROKEN)
def test_a_broken_header_is_explained_in_our_words(bnq, raw_file, header):
    said = bnq("inspect", raw_file(header), code=4).stderr
    assert BROKEN[header] in said
    assert "json.exception" not in said


@pytest.mark.parametrize("content", [b"", b"1234567", struct.pack("<Q", 2**63), struct.pack("<Q", 10) + b"{}"])
def test_a_file_that_is_no_safetensors_file(bnq, tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    for command in commands("x"):
        bnq(*command, code=4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_is_refused_with_tensor_and_index(bnq, tmp_path, value):
    weights = np.ones((3, 5), np.float32)
    weights[1, 2] = value
    save_file({"good.weight": np.ones((3, 5), np.float32), "bad.weight": weights}, tmp_path / "m")
    for scheme in ("8", "4", "ternary", "1"):
        result = bnq("quantize", "m", "out", "--scheme", scheme, code=4)
        assert "bad.weight" in result.stderr
        assert "[1, 2]" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_nan_in_a_tensor_that_is_kept_is_copied(bnq, tmp_path):
    save_file({"x.weight": np.ones((4, 4), np.float32), "y": np.array([np.nan], np.float32)}, tmp_path / "m")
    bnq("quantize", "m", "out")
    bnq("verify", "m", "out")


def test_already_packed_is_refused(bnq, small):
    result = bnq("quantize", small, "again", code=4)
    assert "quantized already" in result.stderr
    assert not small.with_name("again").exists()


def test_packed_by_another_program_is_refused(bnq, tmp_path):
    codes, scales = np.ones((4, 4), np.int8), np.ones((4, 1), np.float32)
    save_file({"x.weight": codes, "x.weight_scale": scales}, tmp_path / "m")
    assert "x.weight" in bnq("quantize", "m", "out", code=4).stderr


def test_dequantize_needs_a_file_of_bnq(bnq, model):
    assert "bnq" in bnq("dequantize", model, "out", code=4).stderr


@pytest.mark.parametrize("verb", [0, 1, 2, 3])
def test_a_missing_file_is_the_systems_failure(bnq, verb):
    assert "nowhere" in bnq(*commands("nowhere")[verb], code=1).stderr


def test_a_folder_without_weights(bnq, tmp_path):
    assert "holds no weights" in bnq("inspect", tmp_path, code=4).stderr


def test_names_cannot_play_with_the_terminal(bnq, raw_file):
    path = raw_file({"a\x1b[31m\n\u009b\u202eb.weight": ENTRY}, bytes(16))
    for command in (["inspect", path], ["quantize", path, "--dry-run"], ["quantize", path, "out"],
                    ["verify", path, "out"]):  # fmt: skip
        text = bnq(*command).stdout
        assert not any(c in text for c in "\x1b\u009b\u202e")
    assert r"a\x1b[31m\x0a\xc2\x9b\xe2\x80\xaeb.weight" in bnq("inspect", path).stdout
