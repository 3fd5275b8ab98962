"""Whole files: plan, quantize, inspect, verify, dequantize; progress, Ctrl-C, refusals."""

import os
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import bnq


@pytest.fixture
def model(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A small model as other programs write it."""
    path = tmp_path / "model.safetensors"
    tensors = {
        "model.embed_tokens.weight": rng.standard_normal((32, 64), np.float32),
        "model.layers.0.q_proj.weight": rng.standard_normal((64, 64), np.float32),
        "model.layers.0.q_proj.bias": rng.standard_normal(64, np.float32),
        "model.layers.0.up_proj.weight": rng.standard_normal((128, 64), np.float32),
        "model.layers.0.norm.weight": np.ones(64, np.float32),
        "lm_head.weight": rng.standard_normal((32, 64), np.float32),
        "position_ids": np.arange(16),
    }
    safetensors.numpy.save_file(tensors, path, metadata={"format": "pt"})
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.safetensors"


QUANTIZED = {"model.layers.0.q_proj.weight", "model.layers.0.up_proj.weight"}


def schemes_of(plan: bnq.Plan) -> dict[str, str]:
    return {t.name: str(t.scheme) for t in plan.tensors if t.scheme is not None}


def test_quantize(model: Path, out: Path) -> None:
    plan = bnq.quantize_checkpoint(model, out, 8)
    assert schemes_of(plan) == dict.fromkeys(QUANTIZED, "int8-absmax:row")
    assert plan.file_bytes_in == model.stat().st_size
    assert plan.file_bytes_out == out.stat().st_size
    before, after = safetensors.numpy.load_file(model), bnq.load(out)
    assert after.keys() == before.keys()
    for name, array in before.items():
        if name in QUANTIZED:
            assert after[name] == bnq.quantize(array, 8)
        else:
            assert np.array_equal(after[name], array)


def test_plan_is_what_is_done(model: Path, out: Path) -> None:
    options = {"rules": {"*.q_proj.weight": "ternary"}, "embeddings": 8, "head": "4"}
    plan = bnq.plan_checkpoint(model, 4, **options)
    assert not out.exists()
    assert plan == bnq.quantize_checkpoint(model, out, 4, **options)
    assert plan.file_bytes_out == out.stat().st_size
    assert {t.name for t in plan.tensors} == set(safetensors.numpy.load_file(model))
    assert all(t.reason for t in plan.tensors)
    assert "position_ids" in str(plan)
    assert schemes_of(plan) == {
        "model.embed_tokens.weight": "int8-absmax:row",
        "model.layers.0.q_proj.weight": "ternary-absmean:tensor",
        "model.layers.0.up_proj.weight": "int4-absmax:group(64)",
        "lm_head.weight": "int4-absmax:group(64)",
    }


def test_the_last_rule_that_matches_wins(model: Path) -> None:
    rules = {"*proj.weight": "ternary", "*.up_proj.*": bnq.Scheme(6), "*.q_proj.weight": None}
    plan = bnq.plan_checkpoint(model, 8, rules=rules)
    assert schemes_of(plan) == {"model.layers.0.up_proj.weight": "int6-absmax:row"}
    assert [r.hits for r in plan.rules][1:] == [1, 1]
    assert schemes_of(bnq.plan_checkpoint(model, 8, rules={"*": "keep"})) == {}


def test_a_rule_that_names_nothing(model: Path, out: Path) -> None:
    with pytest.warns(UserWarning, match="nothing_like_this") as caught:
        plan = bnq.quantize_checkpoint(model, out, rules={"nothing_like_this": 4})
    assert plan.warnings
    assert caught[0].filename == __file__
    out.unlink()
    with pytest.raises(bnq.InvalidArgumentError, match="nothing_like_this"):
        bnq.quantize_checkpoint(model, out, rules={"nothing_like_this": 4}, strict=True)
    assert not out.exists()


def test_rules_may_be_a_list(model: Path) -> None:
    rules = {"*proj.weight": "ternary", "*.up_proj.*": 6, "*.q_proj.weight": None}
    plan = bnq.plan_checkpoint(model, rules=rules)
    assert bnq.plan_checkpoint(model, rules=list(rules.items())) == plan
    assert (
        bnq.plan_checkpoint(model, rules=["*proj.weight=ternary", ("*.up_proj.*", 6), "*.q_proj.weight=keep"]) == plan
    )


@pytest.mark.parametrize("bad", ["*=4", 3, ["*"], [3], [("*", 4, 5)], ("*", "4"), ["=4"], {3: 4}, {"\ud800": 4}])
def test_what_are_no_rules(bad: object, model: Path) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match=r"^rules?\b.*need"):
        bnq.plan_checkpoint(model, rules=bad)


@pytest.mark.parametrize("bad", ["abc", "80", True, float("nan"), [80]])
def test_what_is_no_gate(bad: object, model: Path, out: Path) -> None:
    bnq.quantize_checkpoint(model, out)
    for gate in ("min_sqnr_db", "min_cosine"):
        with pytest.raises(bnq.InvalidArgumentError, match=rf"{gate}: not a number \(got ('|True|NaN|\[)"):
            bnq.verify(model, out, **{gate: bad})


@pytest.mark.parametrize("bad", [None, 3, "a\0b"])
def test_what_is_no_path(bad: object, model: Path, out: Path) -> None:
    calls = [
        lambda: bnq.plan_checkpoint(bad),
        lambda: bnq.inspect(bad),
        lambda: bnq.verify(model, bad),
        lambda: bnq.verify(bad, model),
        lambda: bnq.quantize_checkpoint(bad, out),
        lambda: bnq.quantize_checkpoint(model, bad),
        lambda: bnq.dequantize_checkpoint(bad, out),
        lambda: bnq.dequantize_checkpoint(model, bad),
    ]
    for call in calls:
        with pytest.raises(bnq.InvalidArgumentError, match=r"(path|src|dst|original|quantized): .*\(got"):
            call()
    assert not out.exists()


@pytest.mark.parametrize("bad", [{"scheme": "int9"}, {"rules": {"*": 4.5}}, {"embeddings": "x"}, {"head": True}])
def test_unknown_schemes(bad: dict[str, object], model: Path, out: Path) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match="need"):
        bnq.quantize_checkpoint(model, out, **bad)
    assert not out.exists()


def test_outputs_are_kept(model: Path, out: Path) -> None:
    out.write_bytes(b"precious")
    with pytest.raises(bnq.ExistsError):
        bnq.quantize_checkpoint(model, out)
    assert out.read_bytes() == b"precious"
    bnq.quantize_checkpoint(str(model), str(out), force=True)
    with pytest.raises(bnq.ExistsError):
        bnq.dequantize_checkpoint(out, model)


def test_input_and_output_are_two_files(model: Path, tmp_path: Path) -> None:
    before = model.read_bytes()
    link = tmp_path / "link"
    link.symlink_to(model)
    for dst in (model, link):
        with pytest.raises(bnq.InvalidArgumentError):
            bnq.quantize_checkpoint(model, dst, force=True)
    assert model.read_bytes() == before


def test_already_packed(model: Path, out: Path, tmp_path: Path) -> None:
    bnq.quantize_checkpoint(model, out)
    with pytest.raises(bnq.BadContentError, match="already"):
        bnq.quantize_checkpoint(out, tmp_path / "again")


def test_nan_names_its_tensor(model: Path, out: Path) -> None:
    tensors = safetensors.numpy.load_file(model)
    tensors["model.layers.0.q_proj.weight"][5, 6] = np.nan
    safetensors.numpy.save_file(tensors, model)
    with pytest.raises(bnq.BadContentError, match=r"q_proj.*\[5, 6\]"):
        bnq.quantize_checkpoint(model, out)
    assert not out.exists()
    (bad,) = (t for t in bnq.inspect(model).tensors if t.nan_count)
    assert (bad.name, bad.nan_count) == ("model.layers.0.q_proj.weight", 1)


@pytest.mark.parametrize("dtype", [None, "f16", np.float16])
def test_dequantize(dtype: object, model: Path, out: Path, tmp_path: Path) -> None:
    bnq.quantize_checkpoint(model, out, 8)
    back = tmp_path / "back.safetensors"
    result = bnq.dequantize_checkpoint(out, back, dtype=dtype)
    assert (result.tensors, result.file_bytes_out) == (2, back.stat().st_size)
    before, after = safetensors.numpy.load_file(model), safetensors.numpy.load_file(back)
    for name, array in before.items():
        expected = bnq.quantize(array, 8).dequantize(dtype) if name in QUANTIZED else array
        assert after[name].dtype == expected.dtype
        assert np.array_equal(after[name], expected)
    with pytest.raises(bnq.InvalidArgumentError, match="f32, f16 or bf16"):
        bnq.dequantize_checkpoint(out, tmp_path / "x", dtype="i8")


def test_inspect(model: Path, out: Path) -> None:
    seen = bnq.inspect(model)
    assert seen.file_bytes == model.stat().st_size
    assert seen.written_by == ""
    tensors = safetensors.numpy.load_file(model)
    for t in seen.tensors:
        assert t.shape == tensors[t.name].shape
        assert t.nbytes == tensors[t.name].nbytes
        if t.dtype == "f32":
            assert (t.minimum, t.maximum) == (tensors[t.name].min(), tensors[t.name].max())
    bnq.quantize_checkpoint(model, out, "ternary")
    after = bnq.inspect(out)
    assert after.written_by == f"bnq {bnq.__version__}"
    q = next(t for t in after.tensors if t.name == "model.layers.0.q_proj.weight")
    assert (q.scheme, q.layout, q.shape, q.dtype) == (bnq.Scheme("ternary"), bnq.Layout("u2_hf"), (64, 64), "f32")


def test_verify(model: Path, out: Path) -> None:
    bnq.quantize_checkpoint(model, out, 8)
    result = bnq.verify(model, out)
    assert result.reproduced
    assert result.gates_met
    assert not result.lossless
    assert (result.missing, result.extra) == ((), ())
    assert result.file_bytes_after == out.stat().st_size
    tensors = safetensors.numpy.load_file(model)
    for t in result.tensors:
        if t.name in QUANTIZED:
            assert t.report == bnq.report(tensors[t.name], bnq.quantize(tensors[t.name], 8))
        else:
            assert t.report is None
    assert result.worst_sqnr_db == min(t.report.sqnr_db for t in result.tensors if t.report)
    assert str(result) == result.verdict
    missed = bnq.verify(model, out, min_sqnr_db=80, min_cosine=0.5)
    assert not missed.gates_met
    assert {t.name for t in missed.tensors if t.gate_missed} == QUANTIZED


def test_missing_input(out: Path, tmp_path: Path) -> None:
    for call in (bnq.plan_checkpoint, bnq.inspect):
        with pytest.raises(OSError, match="absent"):
            call(tmp_path / "absent")
    for call in (bnq.quantize_checkpoint, bnq.dequantize_checkpoint):
        with pytest.raises(FileNotFoundError, match="absent: cannot open"):
            call(tmp_path / "absent", out)


def test_a_missing_file_says_which(model: Path, out: Path, tmp_path: Path) -> None:
    bnq.quantize_checkpoint(model, out)
    with pytest.raises(bnq.MissingFileError) as caught:
        bnq.verify(model, tmp_path / "absent")
    assert caught.value.filename == str(tmp_path / "absent")
    with pytest.raises(bnq.MissingFileError) as caught:
        bnq.quantize_checkpoint(model, tmp_path / "absent/out")
    assert caught.value.filename == str(tmp_path / "absent/out")


def test_progress(model: Path, out: Path) -> None:
    seen: list[tuple[int, int]] = []
    bnq.quantize_checkpoint(model, out, progress=lambda done, total: seen.append((done, total)))
    assert seen
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len({total for _, total in seen}) == 1
    for call in (lambda p: bnq.inspect(model, progress=p), lambda p: bnq.verify(model, out, progress=p)):
        seen.clear()
        call(lambda done, total: seen.append((done, total)))
        assert seen


def test_progress_may_stop(model: Path, out: Path) -> None:
    with pytest.raises(bnq.Interrupted):
        bnq.quantize_checkpoint(model, out, progress=lambda *_: False)
    with pytest.raises(bnq.Interrupted):
        bnq.inspect(model, progress=lambda *_: False)
    assert sorted(p.name for p in out.parent.iterdir()) == ["model.safetensors"]


def test_what_progress_raises_comes_through(model: Path, out: Path) -> None:
    class MyError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise MyError(done, total)

    with pytest.raises(MyError) as caught:
        bnq.quantize_checkpoint(model, out, progress=stop)
    assert caught.value.args[1] > 0
    assert sorted(p.name for p in out.parent.iterdir()) == ["model.safetensors"]


def test_ctrl_c(model: Path, out: Path) -> None:
    def press(*_: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        bnq.quantize_checkpoint(model, out, progress=press)
    assert not isinstance(caught.value, bnq.Error)
    assert sorted(p.name for p in out.parent.iterdir()) == ["model.safetensors"]


def test_a_poor_scheme_warns(model: Path, out: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bnq.quantize_checkpoint(model, out, 2)
    assert any("worse than ternary" in str(w.message) for w in caught)
