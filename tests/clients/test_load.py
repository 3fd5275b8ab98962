"""load_ of model folders into transformers' models: right, or refused with the reason and the model as it was."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from models import make_model

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
