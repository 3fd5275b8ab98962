"""Targets: what Python sees of them, and a quantizer that works for one."""

import pickle

import numpy as np
import pytest
import torch

import bnq

pytestmark = pytest.mark.filterwarnings("ignore:int2")


def test_names() -> None:
    assert [str(target) for target in bnq.targets()] == [
        "transformers",
        "vllm",
        "llama.cpp",
        "bitnet.cpp",
        "onnxruntime",
    ]
    for target in bnq.targets():
        assert bnq.Target(target.name) == bnq.Target(target) == target
        assert hash(bnq.Target(target.name)) == hash(target)
        assert pickle.loads(pickle.dumps(target)) == target
        assert repr(target) == f"Target({target.name!r})"
        assert target.about


@pytest.mark.parametrize("name", ["vLLM", "", 8, None, b"vllm"])
def test_unknown_names_list_what_there_is(name: object) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match=r"transformers, vllm, llama\.cpp, bitnet\.cpp, onnxruntime"):
        bnq.Target(name)


def test_what_it_reads() -> None:
    assert [target.reads for target in bnq.targets()] == ["folder", "folder", "gguf", "gguf", "operands"]


def test_what_it_takes() -> None:
    llama = bnq.Target("llama.cpp")
    assert llama.refusal("ternary") == ""
    assert llama.layout("ternary", (8, 256)) == bnq.Layout("tq2_0")
    assert llama.layout("ternary", (8, 100)) is None
    assert "multiples of 64" in llama.refusal("ternary", (8, 100))
    assert any("SiLU" in text for text in llama.differences("ternary"))
    assert list(map(str, bnq.Target("vllm").schemes)) == ["int8-absmax:row", "int4-absmax:group(64)"]
    with pytest.raises(bnq.InvalidArgumentError, match="not a shape"):
        llama.refusal("ternary", 3)


@pytest.mark.parametrize("target", bnq.targets(), ids=str)
def test_what_a_quantizer_makes_is_packed_for_its_target(target: bnq.Target) -> None:
    w = np.random.default_rng(1).normal(0, 0.05, (64, 512)).astype(np.float32)
    for scheme in target.schemes:
        quantizer = bnq.BitNetQuantizer(scheme=scheme, target=target)
        assert quantizer.target == target
        q = quantizer.quantize_weights(w)
        assert q == bnq.quantize(w, scheme)
        p = quantizer.pack(q)
        assert p.layout == target.layout(scheme, w.shape)
        assert np.array_equal(bnq.unpack(p).codes, q.codes)


def test_repr_and_equality() -> None:
    quantizer = bnq.BitNetQuantizer(precision=8, target="llama.cpp")
    assert repr(quantizer) == ("BitNetQuantizer(weights=int8-absmax:row, activations=int8-token:row, target=llama.cpp)")
    assert quantizer == bnq.BitNetQuantizer(8, target=bnq.Target("llama.cpp"))
    assert quantizer != bnq.BitNetQuantizer(8)
    assert quantizer != bnq.BitNetQuantizer(8, target="vllm")
    assert bnq.BitNetQuantizer(8).target is None


def test_a_precision_that_the_target_never_takes() -> None:
    with pytest.raises(bnq.UnsupportedError, match=r"bitnet\.cpp cannot run it.*ternary-absmean:tensor"):
        bnq.BitNetQuantizer(precision=8, target="bitnet.cpp")
    with pytest.raises(bnq.UnsupportedError, match=r"for each group of 16.*int8-absmax:group\(64\)"):
        bnq.BitNetQuantizer(precision=8, target="onnxruntime")
    assert bnq.BitNetQuantizer(precision=8, granularity="group(32)", target="onnxruntime").target


def test_a_tensor_that_the_target_cannot_hold() -> None:
    quantizer = bnq.BitNetQuantizer(1.58, target="llama.cpp")
    with pytest.raises(bnq.UnsupportedError, match=r"quantize_weights: llama\.cpp cannot hold it.*\[4, 100\]"):
        quantizer.quantize_weights(torch.ones(4, 100))
    with pytest.raises(bnq.UnsupportedError, match="matrices only"):
        quantizer.quantize_weights(torch.nn.Conv2d(256, 4, 2))
    assert quantizer.quantize_weights(torch.nn.Linear(256, 4)).shape == (4, 256)
    with pytest.raises(bnq.UnsupportedError, match=r"pack: llama\.cpp cannot hold it"):
        quantizer.pack(bnq.quantize(np.ones((4, 100), np.float32), "ternary"))
    with pytest.raises(bnq.InvalidArgumentError, match="pack: not quantized"):
        quantizer.pack(np.ones((4, 256), np.float32))


def test_without_a_target_pack_chooses() -> None:
    q = bnq.quantize(np.ones((4, 256), np.float32), "ternary")
    assert bnq.BitNetQuantizer(1.58).pack(q).layout == bnq.pack(q).layout


def test_checkpoints(tmp_path) -> None:
    path, out = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    bnq.save(path, {"a.weight": np.ones((8, 100), np.float32)})
    with pytest.raises(bnq.UnsupportedError, match="u8_ort needs a scale for each group"):
        bnq.plan_checkpoint(path, 8, target="onnxruntime")
    plan = bnq.quantize_checkpoint(path, out, "8:group(32)", target=bnq.Target("onnxruntime"))
    assert (plan.target, plan.target_layout) == ("onnxruntime", None)
    assert any("accuracy_level" in note for note in plan.notes)
    assert bnq.plan_checkpoint(path).target == ""
    with pytest.raises(bnq.InvalidArgumentError, match="need one of them"):
        bnq.convert(out, tmp_path / "x")
    with pytest.raises(bnq.InvalidArgumentError, match="both given"):
        bnq.convert(out, tmp_path / "x", "i8", target="llama.cpp")
    with pytest.raises(bnq.UnsupportedError, match="reads graphs"):
        bnq.convert(out, tmp_path / "x", target="onnxruntime")
    assert bnq.convert(out, tmp_path / "x", "i8").layout == bnq.Layout("i8")
