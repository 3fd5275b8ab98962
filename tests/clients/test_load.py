"""load_ of model folders into transformers' models: right, or refused with the reason and the model as it was."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from models import DECODER, make_model

import bnq
from bnq.torch import PackedLinear, load_, quantize_

pytestmark = pytest.mark.filterwarnings("default")  # transformers' own


@torch.no_grad()
def run(model: Any) -> torch.Tensor:
    output: torch.Tensor = model(torch.randint(3, 96, (2, 11), generator=torch.Generator().manual_seed(1)))[0]
    return output


def refused(model: Any, folder: Path, message: str) -> None:
    before = run(model)
    with pytest.raises(bnq.InvalidArgumentError, match=rf"^load_: .*{message}.*nothing was changed$"):
        load_(model, folder)
    assert not any(isinstance(module, PackedLinear) for module in model.modules())
    assert torch.equal(run(model), before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = make_model("LlamaForCausalLM")
    quantize_(model, 8)
    model.save_pretrained(tmp_path / "llama")
    return tmp_path / "llama"


def edit(folder: Path, drop: str = "", **changed: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changed
    config.pop(drop, None)
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_attention_heads": 2, "head_dim": 32}, "num_attention_heads 4, need 2, head_dim 16, need 32"),
        ({"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 8}, "num_key_value_heads 2, need 4"),
        ({"rms_norm_eps": 1e-2}, "rms_norm_eps 1e-06, need 0.01"),
        ({"hidden_act": "gelu"}, "hidden_act 'silu', need 'gelu'"),
        (
            {"rope_parameters": {"rope_type": "default", "rope_theta": 7.0}},
            r"rope_parameters\.rope_theta 10000.0, need 7.0",
        ),
    ],
)
def test_a_config_that_computes_something_else_is_refused(changed: dict[str, Any], message: str, folder: Path) -> None:
    """The shapes are the same."""
    refused(make_model("LlamaForCausalLM", **changed), folder, message + ".*make the model from the folder's config")


@pytest.mark.parametrize(
    ("name", "kind", "sizes", "changed"),
    [
        (
            "T5ForConditionalGeneration",
            "T5Config",
            {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4, "vocab_size": 64},
            {"feed_forward_proj": "gelu"},
        ),
        (
            "GPT2LMHeadModel",
            "GPT2Config",
            {"n_layer": 1, "n_head": 2, "n_embd": 32, "vocab_size": 64},
            {"scale_attn_by_inverse_layer_idx": True},
        ),
        (
            "BloomForCausalLM",
            "BloomConfig",
            {"n_layer": 1, "n_head": 2, "hidden_size": 32, "vocab_size": 64},
            {"apply_residual_connection_post_layernorm": True},
        ),
    ],
)
def test_keys_of_other_architectures_decide_too(
    name: str, kind: str, sizes: dict[str, Any], changed: dict[str, Any], tmp_path: Path
) -> None:
    def made(**more: Any) -> Any:
        return getattr(transformers, name)(getattr(transformers, kind)(**sizes, **more))

    made().save_pretrained(tmp_path / "float")
    bnq.quantize_checkpoint(tmp_path / "float", tmp_path / "low", 8)
    with pytest.raises(
        bnq.InvalidArgumentError, match=rf"got {next(iter(changed))} .*make the model from the folder's"
    ):
        load_(made(**changed), tmp_path / "low")
    load_(made(), tmp_path / "low")


def test_another_kind_of_model_is_refused(folder: Path) -> None:
    edit(folder, model_type="gemma")
    refused(make_model("LlamaForCausalLM"), folder, "model_type 'gemma', need 'llama'")


def test_keys_that_older_versions_wrote_are_understood(folder: Path) -> None:
    want = run(load_(make_model("LlamaForCausalLM"), folder))
    edit(folder, drop="rope_parameters", rope_theta=10000)
    assert torch.equal(run(load_(make_model("LlamaForCausalLM"), folder)), want)
    edit(folder, rope_theta=500)
    refused(make_model("LlamaForCausalLM"), folder, "rope_theta 500, need 10000.0")


def test_what_is_not_said_or_changes_nothing_is_not_compared(folder: Path) -> None:
    edit(folder, drop="head_dim", use_cache=False, initializer_range=3.0, dtype="float16", num_key_value_heads=None)
    load_(make_model("LlamaForCausalLM"), folder)
    stored = json.loads((folder / "config.json").read_text())["quantization_config"]
    (folder / "config.json").write_text(json.dumps({"quantization_config": stored}))
    load_(make_model("LlamaForCausalLM", num_attention_heads=2, num_key_value_heads=1, head_dim=32), folder)


@pytest.mark.parametrize("config", [{"head_dim": 8}, SimpleNamespace(head_dim=8)])
def test_configs_of_other_libraries_are_compared_too(config: Any, folder: Path) -> None:
    model = make_model("LlamaForCausalLM")
    own = torch.nn.ModuleDict({"model": model.model, "lm_head": model.lm_head})
    own.config = config
    with pytest.raises(bnq.InvalidArgumentError, match="head_dim 16, need 8"):
        load_(own, folder)
    own.config = 3  # type: ignore[assignment]
    load_(own, folder)


def mixtral() -> Any:
    torch.manual_seed(0)
    return transformers.MixtralForCausalLM(transformers.MixtralConfig(**(DECODER | {"num_local_experts": 2}))).eval()


def qwen3_moe() -> Any:
    torch.manual_seed(0)
    sizes = DECODER | {"head_dim": 16, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    return transformers.Qwen3MoeForCausalLM(transformers.Qwen3MoeConfig(**sizes)).eval()


@pytest.mark.filterwarnings("ignore:.*tested list")
@pytest.mark.parametrize("make", [mixtral, qwen3_moe])
def test_experts_that_are_fused_in_the_model_are_refused_and_the_way_around_works(make: Any, tmp_path: Path) -> None:
    make().save_pretrained(tmp_path / "float")
    bnq.quantize_checkpoint(tmp_path / "float", tmp_path / "small", 8)
    refused(
        make(),
        tmp_path / "small",
        r"layers\.0\.mlp\.experts\.gate_up_proj, a parameter of \w+Experts, .*one by one .*(12|24) parts",
    )
    bnq.dequantize_checkpoint(tmp_path / "small", tmp_path / "floats")
    model = type(make()).from_pretrained(tmp_path / "floats")
    assert (run(model) - run(make())).norm() < 0.03 * run(make()).norm()
    quantize_(model, 8)


def test_experts_under_the_models_own_names_are_loaded(tmp_path: Path) -> None:
    model = mixtral()
    bnq.save(tmp_path / "float.safetensors", {name: t.detach() for name, t in model.state_dict().items()})
    bnq.quantize_checkpoint(tmp_path / "float.safetensors", tmp_path / "small.safetensors", 8)
    loaded = load_(mixtral(), tmp_path / "small.safetensors")
    assert isinstance(loaded.model.layers[0].self_attn.q_proj, PackedLinear)
    assert (run(loaded) - run(model)).norm() < 0.05 * run(model).norm()


@pytest.mark.filterwarnings("ignore:.*tested list")
def test_layers_that_transformers_stores_under_other_names_are_loaded(tmp_path: Path) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}

    def make() -> Any:
        return transformers.ViTForImageClassification(
            transformers.ViTConfig(image_size=32, patch_size=8, **sizes)
        ).eval()

    model, image = make(), torch.randn(2, 3, 32, 32)
    model.save_pretrained(tmp_path / "float")
    bnq.quantize_checkpoint(tmp_path / "float", tmp_path / "small", 8)
    quantize_(model, 8)
    loaded = load_(make(), tmp_path / "small")
    low_bit = {name for name, module in loaded.named_modules() if isinstance(module, PackedLinear)}
    assert low_bit == {name for name, module in model.named_modules() if isinstance(module, PackedLinear)}
    with torch.no_grad():
        assert torch.equal(loaded(image).logits, model(image).logits)


def test_layers_that_would_quantize_anew_are_refused(tmp_path: Path) -> None:
    """An online AutoBitLinear finds another scale for ternary weights: outputs were 0.69 of what they are."""
    from transformers.integrations.bitnet import AutoBitLinear

    bnq.save(tmp_path / "small.safetensors", {"0.weight": bnq.quantize(torch.randn(8, 8), "ternary")})
    model = torch.nn.Sequential(AutoBitLinear(8, 8, bias=False, online_quant=True))
    with pytest.raises(bnq.InvalidArgumentError, match=r"^load_: .*got 0, of AutoBitLinear.*nothing was changed$"):
        load_(model, tmp_path / "small.safetensors")
    load_(torch.nn.Sequential(torch.nn.Linear(8, 8, bias=False)), tmp_path / "small.safetensors")
