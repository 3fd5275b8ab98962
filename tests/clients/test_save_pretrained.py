"""save_pretrained after quantize_, convert_ or optimize: plain transformers loads it, or it says why not."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import models
import oracle
import pytest
import torch
import transformers
from models import load, make_model, run_bnq, stored

import bnq
import bnq.torch

pytestmark = pytest.mark.filterwarnings("default")  # transformers' own, and bnq's of ternary weights


def input_ids() -> torch.Tensor:
    return torch.randint(3, 96, (2, 11), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def run(model: Any) -> torch.Tensor:
    output: torch.Tensor = model(input_ids())[0]
    return output


CASES: list[tuple[str, dict[str, Any]]] = [
    ("LlamaForCausalLM", {}),
    ("LlamaForCausalLM", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    ("Qwen3ForCausalLM", {"tie_word_embeddings": True}),
    ("BertForSequenceClassification", {}),
]


@pytest.mark.parametrize("scheme", ["8", "4", "ternary"])
@pytest.mark.parametrize(("name", "changed"), CASES)
def test_loads_and_every_layer_agrees(name: str, changed: dict[str, Any], scheme: str, tmp_path: Path) -> None:
    model = make_model(name, **changed)
    heads = {"classifier": "keep"} if name.startswith("Bert") else None
    bnq.torch.quantize_(model, scheme, rules=heads)
    before = run(model)
    model.save_pretrained(tmp_path / "out")
    assert torch.equal(run(model), before)
    loaded = load(tmp_path / "out", name)
    tensors = bnq.load(tmp_path / "out")
    oracle.require_layers_agree(loaded, tensors, scheme, lambda: loaded(input_ids()))


@pytest.mark.parametrize("scheme", ["8", "4", "ternary"])
def test_comes_back_into_bnq_to_the_bit(scheme: str, tmp_path: Path) -> None:
    model = make_model("LlamaForCausalLM", torch.bfloat16, attention_bias=scheme != "ternary")
    bnq.torch.quantize_(model, scheme)
    model.save_pretrained(tmp_path / "out", max_shard_size="20KB")
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 1
    again = bnq.torch.load_(
        make_model("LlamaForCausalLM", torch.bfloat16, attention_bias=scheme != "ternary"), tmp_path / "out"
    )
    assert torch.equal(run(again), run(model))


def test_what_was_loaded_low_bit_and_optimized_is_saved_low_bit(tmp_path: Path) -> None:
    make_model("BitNetForCausalLM").save_pretrained(tmp_path / "in")
    run_bnq("quantize", tmp_path / "in", tmp_path / "packed", "--scheme", "ternary", "--strict")
    model = load(tmp_path / "packed", "BitNetForCausalLM")
    bnq.torch.optimize(model)
    model.save_pretrained(tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert config["quant_method"] == "bitnet"
    before, after = stored(tmp_path / "packed"), bnq.load(tmp_path / "out")
    for name, tensor in before.items():
        if isinstance(tensor, bnq.QuantizedTensor):
            assert (tensor.codes == after[name].codes).all()
            assert (tensor.scales == after[name].scales).all()
    load(tmp_path / "out", "BitNetForCausalLM")


@pytest.mark.parametrize("scheme", ["binary", "8:group(32)", "ternary:row"])
def test_schemes_without_a_form_are_refused(scheme: str, tmp_path: Path) -> None:
    model = make_model("LlamaForCausalLM")
    bnq.torch.quantize_(model, scheme)
    with pytest.raises(bnq.UnsupportedError, match="no folder that transformers loads holds this model"):
        model.save_pretrained(tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


def test_conv1d_and_renamed_models_are_refused(tmp_path: Path) -> None:
    gpt2 = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=1, n_head=2, n_embd=32, vocab_size=64))
    vit = transformers.ViTForImageClassification(
        transformers.ViTConfig(image_size=32, patch_size=8, hidden_size=64, num_hidden_layers=1, num_attention_heads=4)
    )
    for model, message in ((gpt2, "Conv1D"), (vit, "under another name")):
        bnq.torch.quantize_(model, 8)
        with pytest.raises(bnq.UnsupportedError, match=message):
            model.save_pretrained(tmp_path / "out")
        assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("name", ["GPT2Model", "GPT2ForSequenceClassification"])
def test_transposed_weights_are_refused_by_any_class(name: str, tmp_path: Path) -> None:
    config = transformers.GPT2Config(n_layer=1, n_head=2, n_embd=32, vocab_size=64)
    model = getattr(transformers, name)(config)
    bnq.torch.quantize_(model, 8)
    with pytest.raises(bnq.UnsupportedError, match=r"h\.0\.attn\.c_attn holds its weights transposed \(Conv1D\)"):
        model.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_int8_layers_that_were_optimized_are_saved_again(tmp_path: Path) -> None:
    model = make_model("LlamaForCausalLM")
    bnq.torch.quantize_(model, 8)
    model.save_pretrained(tmp_path / "first")
    loaded = load(tmp_path / "first", "LlamaForCausalLM")
    bnq.torch.optimize(loaded)
    loaded.save_pretrained(tmp_path / "again")
    assert torch.equal(run(loaded), run(model))
    again = bnq.torch.load_(make_model("LlamaForCausalLM"), tmp_path / "again")
    assert torch.equal(run(again), run(model))
    assert torch.equal(
        run(load(tmp_path / "again", "LlamaForCausalLM")), run(load(tmp_path / "first", "LlamaForCausalLM"))
    )


def test_experts_that_the_client_cannot_fuse_are_refused(tmp_path: Path) -> None:
    """transformers stores them one by one, and with compressed-tensors finds none of them again."""
    sizes = models.DECODER | {"num_local_experts": 4}
    model: Any = transformers.MixtralForCausalLM(transformers.MixtralConfig(**sizes)).eval()
    for scheme in ("8", "4"):
        packed = copy.deepcopy(model)
        bnq.torch.quantize_(packed, scheme)
        with pytest.raises(bnq.UnsupportedError, match=r"mlp\.\w+.*under another name"):
            packed.save_pretrained(tmp_path / "out")
        assert not list((tmp_path / "out").glob("*"))
    bnq.torch.quantize_(model, "ternary")
    model.save_pretrained(tmp_path / "ternary")
    with torch.no_grad():
        assert torch.allclose(run(load(tmp_path / "ternary", "MixtralForCausalLM")), run(model), atol=1e-4)


def test_a_bit_linear_beside_packed_layers_is_refused(tmp_path: Path) -> None:
    """The client would compute with its float weights."""
    model = make_model("LlamaForCausalLM")
    bnq.torch.prepare_qat_(model, filter_fn=lambda _, name: "up_proj" in name)
    bnq.torch.quantize_(model, 8)
    with pytest.raises(bnq.UnsupportedError, match=r"up_proj is a BitLinear.*convert_"):
        model.save_pretrained(tmp_path / "out")


def test_a_part_of_a_model_and_copies_know_it_too(tmp_path: Path) -> None:
    model = make_model("LlamaForCausalLM")
    bnq.torch.quantize_(model, 8)
    for number, copied in enumerate((copy.deepcopy(model), pickle.loads(pickle.dumps(model)))):
        copied.save_pretrained(tmp_path / str(number))
        load(tmp_path / str(number), "LlamaForCausalLM")
    model.model.save_pretrained(tmp_path / "base")
    base, info = transformers.LlamaModel.from_pretrained(tmp_path / "base", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    with torch.no_grad():
        want = model(input_ids(), output_hidden_states=True).hidden_states[-1]
        assert (base.eval()(input_ids())[0] - want).norm() <= 0.05 * want.norm()


def test_dequantized_layers_leave_no_trace(tmp_path: Path) -> None:
    """A model whose packed layers are gone is a float model again."""
    model = make_model("LlamaForCausalLM")
    floats = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    bnq.torch.quantize_(model, 8)
    for name, layer in floats.items():
        parent, _, key = name.rpartition(".")
        setattr(model.get_submodule(parent), key, layer)
    model.save_pretrained(tmp_path / "out")
    assert not json.loads((tmp_path / "out" / "config.json").read_text()).get("quantization_config")
    load(tmp_path / "out", "LlamaForCausalLM")


def test_dequantize_of_transformers_is_refused_and_the_way_around_works(tmp_path: Path) -> None:
    model = make_model("LlamaForCausalLM")
    bnq.torch.quantize_(model, 8)
    before = run(model)
    with pytest.raises(bnq.UnsupportedError, match=r"^dequantize: .*14 packed layers.*nothing was changed$"):
        model.dequantize()
    assert torch.equal(run(model), before)
    model.save_pretrained(tmp_path / "small")
    bnq.dequantize_checkpoint(tmp_path / "small", tmp_path / "float")
    floats = load(tmp_path / "float", "LlamaForCausalLM")
    layer = model.model.layers[0].mlp.up_proj
    assert torch.equal(floats.model.layers[0].mlp.up_proj.weight, layer.dequantize())
