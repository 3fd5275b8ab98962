"""Architectures that are not on bnq's list: transformers, asked on the meta device, says which layers are linear."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import oracle
import pytest
import torch
import transformers
from models import DECODER, SIZES, load, quantized_modules, run_bnq, stored

import bnq

pytestmark = pytest.mark.filterwarnings("default")  # transformers' own, and bnq's of ternary weights

CONFIGS: dict[str, dict[str, Any]] = {
    "OPTForCausalLM": SIZES | {"ffn_dim": 128, "word_embed_proj_dim": 64},
    "GPTNeoXForCausalLM": SIZES,
    "PhiForCausalLM": DECODER,
    "Gemma2ForCausalLM": DECODER | {"head_dim": 16},
    "StableLmForCausalLM": DECODER,
    "RobertaForSequenceClassification": SIZES | {"num_labels": 3},
    "ElectraForMaskedLM": SIZES | {"embedding_size": 64},
}


def save_model(name: str, folder: Path) -> None:
    torch.manual_seed(len(name))
    cls = getattr(transformers, name)
    cls(cls.config_class(**CONFIGS[name])).eval().save_pretrained(folder)


def run(model: Any) -> Any:
    generator = torch.Generator().manual_seed(1)
    return model(torch.randint(3, 96, (2, 11), generator=generator))


@pytest.mark.parametrize("scheme", ["8", "4", "ternary"])
@pytest.mark.parametrize("name", CONFIGS)
def test_loads_and_every_layer_agrees(name: str, scheme: str, tmp_path: Path) -> None:
    save_model(name, tmp_path / "in")
    with pytest.warns(UserWarning, match="do not load a"):
        plan = bnq.quantize_checkpoint(tmp_path / "in", tmp_path / "out", scheme, strict=True)
    assert plan.client
    model = load(tmp_path / "out", name)
    tensors = stored(tmp_path / "out")
    assert len(quantized_modules(tensors)) >= 8
    oracle.require_layers_agree(model, tensors, scheme, lambda: run(model))


def test_without_python_the_folder_is_bnqs_alone(tmp_path: Path) -> None:
    save_model("OPTForCausalLM", tmp_path / "in")
    done = run_bnq("quantize", tmp_path / "in", tmp_path / "out", "--strict", code=2)
    assert "bnq.quantize_checkpoint of Python asks transformers" in done.stderr


def remove_class(config: dict[str, Any]) -> None:
    config["architectures"] = ["NobodysForCausalLM"]


def bring_code(config: dict[str, Any]) -> None:
    config["architectures"] = ["OwnForCausalLM"]
    config["auto_map"] = {"AutoModelForCausalLM": "own.OwnForCausalLM"}


def contradict(config: dict[str, Any]) -> None:
    config["num_attention_heads"] = 7


@pytest.mark.parametrize(
    ("change", "message"),
    [(remove_class, "no such class"), (bring_code, "no such class"), (contradict, "transformers cannot make it")],
)
def test_what_cannot_be_made_is_bnqs_alone_and_says_why(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    save_model("OPTForCausalLM", tmp_path / "in")
    (tmp_path / "in" / "own.py").write_text("raise SystemExit('code of the folder was run')")
    config = json.loads((tmp_path / "in" / "config.json").read_text())
    change(config)
    (tmp_path / "in" / "config.json").write_text(json.dumps(config))
    with pytest.raises(bnq.InvalidArgumentError, match=message):
        bnq.quantize_checkpoint(tmp_path / "in", tmp_path / "out", strict=True)
    with pytest.warns(UserWarning, match=message):
        plan = bnq.quantize_checkpoint(tmp_path / "in", tmp_path / "out")
    assert not plan.client
    with pytest.raises(ValueError, match="no `quant_method`"):
        transformers.OPTForCausalLM.from_pretrained(tmp_path / "out")


def mixtral() -> Any:
    """Its experts are many matrices in the files and two 3-d parameters in the model."""
    return transformers.MixtralForCausalLM(transformers.MixtralConfig(**(DECODER | {"num_local_experts": 2})))


def vit() -> Any:
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    return transformers.ViTForImageClassification(transformers.ViTConfig(image_size=32, patch_size=8, **sizes))


@pytest.mark.parametrize("make", [mixtral, vit])
def test_models_that_are_renamed_when_loaded_are_bnqs_alone(make: Callable[[], Any], tmp_path: Path) -> None:
    make().save_pretrained(tmp_path / "in")
    with pytest.warns(UserWarning, match="has another name in the files"):
        plan = bnq.quantize_checkpoint(tmp_path / "in", tmp_path / "out")
    assert not plan.client
    assert len(quantized_modules(stored(tmp_path / "out"))) >= 12


def small(name: str, **sizes: Any) -> Callable[[], Any]:
    def make() -> Any:
        cls = getattr(transformers, name)
        return cls(cls.config_class(**sizes))

    return make


T5 = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "vocab_size": 96}
BLIP = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
NOT_LOADED = {
    "a weight that is read": (small("T5ForConditionalGeneration", **T5), "8", "T5DenseActDense reads its weight"),
    "a weight that is multiplied by": (
        small("MambaForCausalLM", hidden_size=64, num_hidden_layers=2, vocab_size=96, state_size=8),
        "8",
        "reads its weight",
    ),
    "a weight of two layers": (
        small(
            "BlipForConditionalGeneration",
            text_config=BLIP | {"vocab_size": 96, "encoder_hidden_size": 64},
            vision_config=BLIP | {"image_size": 32, "patch_size": 8},
        ),
        "8",
        "shares its weight with",
    ),
}


@pytest.mark.parametrize("name", NOT_LOADED)
def test_what_the_code_around_a_layer_cannot_take_is_bnqs_alone(name: str, tmp_path: Path) -> None:
    make, scheme, message = NOT_LOADED[name]
    make().save_pretrained(tmp_path / "in")
    with pytest.raises(bnq.InvalidArgumentError, match=message):
        bnq.quantize_checkpoint(tmp_path / "in", tmp_path / "out", scheme, strict=True)
