"""bnq quantize: what is quantized, and that the plan is what happens."""

import hashlib
import json

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

LINEAR = {"layer.0.up.weight", "layer.0.down.weight", "layer.1.up.weight", "layer.1.down.weight"}


def quantized_names(document):
    return {t["name"] for t in document["tensors"] if t["scheme"] is not None}


def scheme_of(document, name):
    (scheme,) = (t["scheme"] for t in document["tensors"] if t["name"] == name)
    return scheme


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_linear_weights_are_quantized_and_the_rest_is_copied(bnq_json, model, tensors):
    out = model.with_name("out")
    plan = bnq_json("quantize", model, out)
    assert plan["schema"] == "bnq.plan/1"
    assert quantized_names(plan) == LINEAR
    written = load_file(out)
    for name, tensor in tensors.items():
        if name not in LINEAR:
            np.testing.assert_array_equal(written[name], tensor)
    assert written["layer.0.up.weight"].dtype == np.int8


def test_int8_codes_and_scales_are_the_formula(bnq, model, tensors):
    out = model.with_name("out")
    bnq("quantize", model, out, "--scheme", "8")
    written = load_file(out)
    w = tensors["layer.0.up.weight"]
    scales = np.abs(w).max(axis=1, keepdims=True) / np.float32(127)
    np.testing.assert_array_equal(written["layer.0.up.weight_scale"].reshape(scales.shape), scales)
    np.testing.assert_array_equal(written["layer.0.up.weight"], np.rint(w / scales).astype(np.int8))


def test_embeddings_and_head_are_quantized_when_asked(bnq_json, model):
    plan = bnq_json("quantize", model, "out", "--scheme", "4", "--embeddings", "8", "--head", "6")
    assert quantized_names(plan) == LINEAR | {"embed_tokens.weight", "lm_head.weight"}
    assert scheme_of(plan, "embed_tokens.weight") == "int8-absmax:row"
    assert scheme_of(plan, "lm_head.weight") == "int6-absmax:row"
    assert scheme_of(plan, "layer.0.up.weight") == "int4-absmax:group(64)"


@pytest.mark.parametrize("scheme", ["8", "7", "6", "5", "4", "3", "2", "1.58", "ternary", "1", "binary", "3:row"])
def test_dry_run_sizes_are_those_of_the_file(bnq, bnq_json, model, scheme):
    out = model.with_name("out")
    planned = bnq_json("quantize", model, out, "--scheme", scheme, "--embeddings", "8", "--dry-run")
    assert not out.exists()
    done = bnq_json("quantize", model, out, "--scheme", scheme, "--embeddings", "8")
    assert planned == done
    assert planned["file_bytes_in"] == model.stat().st_size
    assert planned["file_bytes_out"] == out.stat().st_size
    text = bnq("quantize", model, "--scheme", scheme, "--embeddings", "8", "--dry-run").stdout
    assert f"{out.stat().st_size:,} bytes" in text


def test_dry_run_lists_every_tensor_with_its_reason(bnq, model, tensors):
    text = bnq("quantize", model, "--dry-run").stdout
    rows = {line.split()[-1]: line for line in text.splitlines() if line}
    assert tensors.keys() <= rows.keys()
    assert "linear weight" in rows["layer.0.up.weight"]
    assert "[64, 32]" in rows["layer.0.up.weight"]
    assert "i64 is not quantized" in rows["position_ids"]
    assert "f64 is not quantized" in rows["precise.weight"]
    assert "nothing was written" in text
    assert [p.name for p in model.parent.iterdir()] == [model.name]


def test_dry_run_says_that_the_output_exists(bnq, model, small):
    assert "--force" in bnq("quantize", model, small, "--dry-run").stderr
    assert bnq("quantize", model, small, "--dry-run", "--force").stderr == ""


def test_the_last_rule_or_keep_that_matches_wins(bnq_json, model):
    rule, keep = ["--rule", "layer.*=4"], ["--keep", "layer.0.*"]
    first = bnq_json("quantize", model, "--dry-run", *rule, *keep)
    assert scheme_of(first, "layer.0.up.weight") is None
    assert scheme_of(first, "layer.1.up.weight") == "int4-absmax:group(64)"
    assert [r["rule"] for r in first["rules"]] == ["layer.*=4", "layer.0.*=keep"]
    second = bnq_json("quantize", model, "--dry-run", *keep, *rule)
    assert scheme_of(second, "layer.0.up.weight") == "int4-absmax:group(64)"
    assert [r["rule"] for r in second["rules"]] == ["layer.0.*=keep", "layer.*=4"]


def test_rules_and_keeps_interleave_in_the_order_given(bnq_json, model):
    arguments = ["--keep", "a", "--rule", "b=8", "--rule", "c=4", "--keep", "d", "--rule=e=3", "--keep=f"]
    plan = bnq_json("quantize", *arguments, model, "--dry-run")
    assert [r["rule"] for r in plan["rules"]] == ["a=keep", "b=8", "c=4", "d=keep", "e=3", "f=keep"]


def test_a_pattern_may_hold_brackets_and_equal_signs(bnq_json, tmp_path):
    save_file({"a=b.weight": np.ones((4, 4), np.float32), "c": np.ones((4, 4), np.float32)}, tmp_path / "m")
    plan = bnq_json("quantize", "m", "--dry-run", "--rule", "a=b.weight=ternary", "--rule", "[c]=4")
    assert scheme_of(plan, "a=b.weight") == "ternary-absmean:tensor"
    assert scheme_of(plan, "c") == "int4-absmax:group(64)"


def test_only_keeps_all_else(bnq_json, model):
    plan = bnq_json("quantize", model, "--dry-run", "--scheme", "ternary", "--only", "layer.1.*.weight",
                    "--only", "lm_head.*", "--keep", "*.down.*")  # fmt: skip
    assert quantized_names(plan) == {"layer.1.up.weight", "lm_head.weight"}


def test_a_rule_that_hits_nothing_is_a_warning_and_under_strict_an_error(bnq, model):
    out = model.with_name("out")
    result = bnq("quantize", model, out, "--rule", "lair.*=4")
    assert "bnq: warning: " in result.stderr
    assert "lair.*=4" in result.stderr
    assert "'lair.*=4' hits 0 tensors" in result.stdout
    strict = model.with_name("strict")
    assert "lair.*=4" in bnq("quantize", model, strict, "--rule", "lair.*=4", "--strict", code=2).stderr
    assert not strict.exists()


@pytest.mark.parametrize("name", ["position_ids", "precise.weight"])
def test_a_rule_that_names_what_is_no_small_float_is_an_error(bnq, model, name):
    result = bnq("quantize", model, "out", "--rule", f"{name}=8", code=2)
    assert name in result.stderr
    assert "f32, f16 or bf16" in result.stderr
    assert not model.with_name("out").exists()


def test_int2_warns(bnq, model):
    assert "use ternary" in bnq("quantize", model, "out", "--scheme", "2").stderr


def test_sizes_of_small_files_are_bytes(bnq, tmp_path):
    save_file({"x.weight": np.ones((4, 4), np.float32)}, tmp_path / "m")
    assert "MB" not in bnq("quantize", "m", "out").stdout
    assert "MB" not in bnq("inspect", "m").stdout
    assert "1 quantized tensor)" in bnq("quantize", "out", "again", code=4).stderr


def test_nothing_to_quantize_is_said(bnq, tmp_path):
    save_file({"x": np.ones(3, np.float32)}, tmp_path / "m")
    assert "nothing is quantized" in bnq("quantize", "m", "out").stderr


@pytest.mark.parametrize("scheme", ["8", "4", "ternary", "1"])
def test_neither_file_nor_output_depends_on_threads(bnq, tmp_path, scheme):
    rng = np.random.default_rng(3)
    save_file({"big.weight": rng.standard_normal((1024, 1000), dtype=np.float32)}, tmp_path / "m")
    said, written = set(), set()
    for threads in (1, 2, 7):
        result = bnq("quantize", "m", "out", "--force", "--scheme", scheme, "--threads", threads)
        shown = bnq("inspect", "m", "--threads", threads).stdout
        checked = bnq("verify", "m", "out", "--threads", threads).stdout
        said.add(result.stdout + shown + checked)
        written.add(digest(tmp_path / "out"))
    assert len(said) == 1
    assert len(written) == 1


def test_bf16_goes_in(bnq, tmp_path):
    weights = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8).astype(ml_dtypes.bfloat16)
    save_file({"x.weight": weights}, tmp_path / "m")
    bnq("quantize", "m", "out")
    bnq("dequantize", "out", "back")
    assert load_file(tmp_path / "back")["x.weight"].dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize("scheme", ["8", "4", "ternary", "1"])
def test_a_foreign_reader_opens_the_output(bnq, model, scheme):
    out = model.with_name("out")
    bnq("quantize", model, out, "--scheme", scheme)
    with safe_open(out, "np") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert metadata["format"] == "pt"
    assert json.loads(metadata["bnq"])["tensors"].keys() == LINEAR
    assert tensors["layer.0.up.weight_scale"].dtype == np.float32


def test_an_empty_file_of_no_tensors_passes_through(bnq, raw_file):
    path = raw_file({})
    bnq("quantize", path, "out")
    bnq("inspect", "out")
