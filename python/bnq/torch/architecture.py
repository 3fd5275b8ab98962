"""The modules of a model folder, from transformers' own code, without its weights."""

import importlib
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from .. import _core
from .layers import head_of
from .packed_linear import PackedLinear
from .weight_readers import not_only_called

__all__ = ["modules_in", "modules_of"]


def modules_of(folder: str, architecture: str) -> _core.ModelModules:
    """Makes the model that the folder's config names on the meta device, and looks at its modules.

    Code that the folder brings along is not run. A model has a refusal when it cannot be made, when its files have
    other names than it has (transformers renames and fuses some as it loads them), and for what :func:`modules_in`
    refuses.
    """
    try:
        model = _skeleton(folder, architecture)
    except Exception as error:  # noqa: BLE001 - whatever another program's code raises: the folder is for bnq only, and says why
        return _refused(f"transformers cannot make it ({type(error).__name__}: {_short(error)})")
    if (missing := _parameter_without_tensor(model, _base_of(model), folder)) is not None:
        return _refused(f"its parameter {missing} has another name in the files")
    return modules_in(model)


def modules_in(model: nn.Module) -> _core.ModelModules:
    """What the modules of a model are, packed layers among them.

    There is a refusal for linear layers of a class of their own, for those that share their weight with another module,
    and for those whose weight is read by the module around them: no client is known to load these. BitNet's form is
    refused for layers that transformers keeps in float32 (it would make floats of packed bytes); that of fewer than 8
    bits for models whose initialization needs the weight of each linear layer, which has another name there.
    """
    linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | PackedLinear)}
    base = _base_of(model)
    head = head_of(model)
    heads = {name for name, module in linear.items() if module is head or not name.startswith(base)}
    layers = {name: module for name, module in linear.items() if name not in heads}
    if refusal := _why_not(model, linear, layers):
        return _refused(refusal)
    modules = _core.ModelModules()
    modules.base = base
    modules.linear = list(layers)
    modules.heads = [name for name in linear if name in heads]
    modules.embeddings = [name for name, module in model.named_modules() if isinstance(module, nn.Embedding)]
    modules.bitnet_refusal = _why_not_bitnet(model, layers)
    modules.packed_refusal = _why_not_packed(model, layers)
    return modules


def _refused(why: str) -> _core.ModelModules:
    modules = _core.ModelModules()
    modules.refusal = why
    return modules


def _why_not(model: nn.Module, linear: Mapping[str, nn.Module], layers: Mapping[str, nn.Module]) -> str:
    owners: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owners.setdefault(id(parameter), []).append(name.rpartition(".")[0])
    reasons = not_only_called(model)
    for name, module in linear.items():
        if type(module) not in (nn.Linear, PackedLinear):
            return f"its layer {name} is a linear layer of its own, {type(module).__name__}"
    for name, module in layers.items():
        others = [owner for owner in owners.get(id(getattr(module, "weight", None)), []) if owner != name]
        if others:
            return f"its layer {name} shares its weight with {others[0]}"
        if id(module) in reasons:
            return f"its layer {name} is not only called: {reasons[id(module)]}"
    return _why_transposed(model, layers)


def _why_transposed(model: Any, layers: Mapping[str, nn.Module]) -> str:
    """A packed layer is [N, K] also where the model's own is [K, N], as in GPT-2."""
    packed = [name for name, module in layers.items() if isinstance(module, PackedLinear)]
    try:
        with torch.device("meta"):
            own = dict(type(model)(model.config).named_modules()) if packed else {}
    except Exception:  # noqa: BLE001 - as above; who cannot be made has other refusals
        return ""
    for name in packed:
        if type(own.get(name)).__name__ == "Conv1D":
            return f"its layer {name} holds its weights transposed (Conv1D), and no client has a form for that"
    return ""


def _why_not_bitnet(model: Any, layers: Mapping[str, nn.Module]) -> str:
    keys = ("_keep_in_fp32_modules", "_keep_in_fp32_modules_strict")
    kept = {part for key in keys for part in getattr(model, key, None) or ()}
    for name in layers:
        if any(re.search(rf"(^|\.){re.escape(part)}($|\.)", name) for part in kept):
            return f"its layer {name} is one that transformers keeps in float32"
    return ""


def _why_not_packed(model: Any, layers: Mapping[str, nn.Module]) -> str:
    """Lets the model initialize itself on the meta device while its linear layers have no weight."""
    try:
        with torch.device("meta"):
            empty = type(model)(model.config)
        for name in layers:
            del empty.get_submodule(name).weight
        for module in empty.modules():
            vars(module).pop("_is_hf_initialized", None)
        empty.initialize_weights()
    except Exception as error:  # noqa: BLE001 - as above
        return f"it cannot be initialized while weights are packed ({type(error).__name__}: {_short(error)})"
    return ""


def _skeleton(folder: str, architecture: str) -> nn.Module:
    transformers: Any = importlib.import_module("transformers")
    cls = getattr(transformers, architecture, None)
    if cls is None or not issubclass(cls, transformers.PreTrainedModel):
        raise LookupError(f"transformers {transformers.__version__} has no such class")
    config = cls.config_class.from_pretrained(folder, local_files_only=True)
    with torch.device("meta"):
        model: nn.Module = cls(config)
    return model


def _parameter_without_tensor(model: nn.Module, base: str, folder: str) -> str | None:
    """One that quantizing could miss; heads, which are kept, are often renamed."""
    stored = {tensor.name for tensor in _core.plan_checkpoint(folder, _core.QuantizeOptions()).tensors}
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if name.startswith(base):
            names.setdefault(id(parameter), []).append(name)
    return next((tied[0] for tied in names.values() if stored.isdisjoint(tied)), None)


def _base_of(model: Any) -> str:
    """What stands before the names of the base model's modules, "gpt_neox."; what stands outside of it are heads."""
    prefix = getattr(model, "base_model_prefix", "")
    return f"{prefix}." if prefix and hasattr(model, prefix) else ""


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 120 else text[:120] + "…"
