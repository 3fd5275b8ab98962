"""The modules of a model folder, from transformers' own code, without its weights."""

import importlib
from typing import Any

import torch
from torch import nn

from .. import _core
from .layers import head_of
from .packed_linear import PackedLinear

__all__ = ["modules_in", "modules_of"]


def modules_of(folder: str, architecture: str) -> _core.ModelModules:
    """Makes the model that the folder's config names on the meta device, and looks at its modules.

    Code that the folder brings along is not run. A model has a refusal when it cannot be made, when its files have
    other names than it has (transformers renames and fuses some as it loads them), and when it has linear layers of a
    class of its own, which no client is known to load.
    """
    try:
        model = _skeleton(folder, architecture)
    except Exception as error:  # noqa: BLE001 - whatever another program's code raises: the folder is for bnq only, and says why
        return _core.ModelModules(refusal=f"transformers cannot make it ({type(error).__name__}: {_short(error)})")
    if (missing := _parameter_without_tensor(model, _base_of(model), folder)) is not None:
        return _core.ModelModules(refusal=f"its parameter {missing} has another name in the files")
    return modules_in(model)


def modules_in(model: nn.Module) -> _core.ModelModules:
    """What the modules of a model are, packed layers among them; with a refusal for linear layers of another class."""
    linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | PackedLinear)}
    for name, module in linear.items():
        if type(module) not in (nn.Linear, PackedLinear):
            return _core.ModelModules(refusal=f"its layer {name} is a linear layer of its own, {type(module).__name__}")
    base = _base_of(model)
    head = head_of(model)
    heads = {name for name, module in linear.items() if module is head or not name.startswith(base)}
    return _core.ModelModules(
        base=base,
        linear=[name for name in linear if name not in heads],
        heads=[name for name in linear if name in heads],
        embeddings=[name for name, module in model.named_modules() if isinstance(module, nn.Embedding)],
    )


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
