"""Modules whose code reads the weight of a layer inside them, beside calling it or instead."""

import functools
import inspect
import re
from typing import Any

from torch import nn

__all__ = ["not_only_called"]

_BY_TORCH = (("MultiheadAttention", "out_proj"), ("LinearCrossEntropyLoss", "linear"))  # the second since torch 2.13
_BUILDS = ("__init__", "tie_weights", "_tie_weights", "init_weights", "_init_weights", "reset_parameters")
_READ = re.compile(r"\bself\.(\w+(?:\.\w+)*)\.weight\b(?!\.device)")


def not_only_called(model: nn.Module) -> dict[int, str]:
    """By id the layers whose weights the module around them reads, with the reason to leave them as they are.

    A successor's weight has another type and form, or is never asked for a product. T5 casts to the type of one; Mamba
    multiplies by another itself.
    """
    found: dict[int, str] = {}
    for module in model.modules():
        for owner, child in _BY_TORCH:
            if isinstance(module, getattr(nn, owner, ())):
                found[id(getattr(module, child))] = f"nn.{owner} reads the weight and does not call the layer"
        kind: Any = type(module)
        for path in _read_by(kind):
            layer = _child(module, path)
            if layer is not None:
                found[id(layer)] = f"{type(module).__name__} reads its weight beside calling it"
    return found


@functools.cache
def _read_by(kind: type[nn.Module]) -> frozenset[str]:
    """Paths of children in "self.PATH.weight" of what the class does when called. Torch's own classes are known."""
    classes = [cls for cls in kind.__mro__ if cls.__module__.partition(".")[0] not in ("torch", "builtins")]
    sources = [_source(method) for cls in classes for name, method in vars(cls).items() if name not in _BUILDS]
    return frozenset(path for source in sources for path in _READ.findall(source))


def _source(method: object) -> str:
    if not inspect.isfunction(method):
        return ""
    try:
        return inspect.getsource(method)
    except (OSError, TypeError):  # made at run time, or its file is gone
        return ""


def _child(module: nn.Module, path: str) -> nn.Module | None:
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None
