"""bnq convert: what it prints, and how it ends."""

import os

import numpy as np
import pytest
from safetensors.numpy import save_file


@pytest.fixture
def ternary(bnq, tmp_path, tensors):
    signs = np.sign(tensors["layer.0.up.weight"]) * np.float32(0.5)
    save_file(tensors | {"layer.0.up.weight": signs}, tmp_path / "floats", metadata={"format": "pt"})
    bnq("quantize", "floats", "ternary", "--scheme", "ternary", "--keep", "*.0.up.weight")
    return tmp_path / "ternary"


def test_it_says_what_was_done(bnq, bnq_json, ternary):
    text = bnq("convert", ternary, "out", "--to", "i8").stdout
    assert "4 tensors to i8" in text
    assert "1 float tensor of -a, 0, +a alone, exactly" in text
    assert "copied     6 tensors" in text
    assert "scales     exact" in text
    document = bnq_json("convert", ternary, "out2", "--to", "i8")
    assert document["schema"] == "bnq.convert/1"
    assert (document["tensors"], document["ternary_floats"], document["copied"]) == (4, 1, 6)
    assert document["scale_error"] == 0
    assert bnq("verify", "floats", "out", "--min-sqnr", "0").stdout.count("layer.") >= 1


@pytest.mark.parametrize("threads", ["1", "2", "3"])
@pytest.mark.parametrize("isa", ["scalar", None])
def test_bytes_are_the_same(bnq, ternary, monkeypatch, threads, isa):
    bnq("convert", ternary, "first", "--to", "i32_ct")
    if isa:
        monkeypatch.setenv("BNQ_ISA", isa)
    bnq("convert", ternary, "out", "--to", "i32_ct", "--threads", threads)
    assert ternary.with_name("out").read_bytes() == ternary.with_name("first").read_bytes()


@pytest.mark.parametrize(
    "case",
    [
        (["floats", "out"], 2, "neither a layout nor a target is given (need one of them (--to, --target))"),
        (["floats", "out", "--to", "int8"], 2, "layout: unknown (got 'int8'"),
        (["floats", "out", "--to", "tq2_0"], 2, "no place for this layout (got tq2_0, need one of"),
        (["floats", "floats", "--to", "i8"], 2, "one file"),
        (["missing", "out", "--to", "i8"], 1, "missing"),
        (["plain", "out", "--to", "i8"], 4, "holds no low-bit tensor, and converting quantizes nothing"),
        (["ternary", "out", "--to", "u1"], 2, "layout u1 cannot hold it"),
        (["ternary", "ternary2", "--to", "i8"], 5, "--force"),
    ],
)
@pytest.mark.usefixtures("ternary")
def test_what_is_refused(bnq, model, tmp_path, case):
    arguments, code, said = case
    (tmp_path / "ternary2").write_text("precious")
    model.rename(tmp_path / "plain")
    assert said in bnq("convert", *arguments, code=code).stderr
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "ternary2").read_text() == "precious"


@pytest.mark.parametrize("verb", [["inspect"], ["convert", "out", "--to", "i8"]])
def test_a_pipe_is_no_input(bnq, verb):
    os.mkfifo("pipe")
    assert "not a regular file" in bnq(verb[0], "pipe", *verb[1:], code=1).stderr
