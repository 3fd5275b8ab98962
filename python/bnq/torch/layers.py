"""Which layers of a model can be swapped, and why the others are not."""

import fnmatch
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from ..arguments import shown
from ..errors import InvalidArgumentError
from .bit_linear import BitLinear
from .coverage import KeptLayer
from .packed_linear import PackedLinear
from .weight_readers import not_only_called

Filter = Callable[[nn.Module, str], bool]

_HEAD = "lm_head"  # as transformers names it
_REASONS = (
    (nn.Embedding, "embedding"),
    (nn.EmbeddingBag, "embedding"),
    (nn.MultiheadAttention, "nn.MultiheadAttention reads the weight and does not call the layer"),
)
_COMPILED = "_compiled_call_impl"  # what nn.Module.compile makes of this very layer
_OF_CLASS: dict[type[nn.Module], frozenset[str]] = {
    kind: frozenset((*vars(kind(1, 1, device="meta")), _COMPILED)) for kind in (nn.Linear, BitLinear)
}
_PACKED = PackedLinear(1, 1, 8)
_TAKEN = frozenset((*dir(_PACKED), *_PACKED._buffers, *dir(BitLinear), *_OF_CLASS[BitLinear]))
_CURES = (
    (WeightNorm, "torch.nn.utils.remove_weight_norm"),
    (SpectralNorm, "torch.nn.utils.remove_spectral_norm"),
    (BasePruningMethod, "torch.nn.utils.prune.remove"),
)


class Found(NamedTuple):
    """A layer of the model that can be swapped."""

    names: list[str]
    """Every path that leads to it."""
    module: Any
    """With weight and bias."""


def is_plain(module: nn.Module) -> bool:
    """Does it compute with its own parameters and its own forward, so that another layer can do the same?"""
    own = module._parameters
    bias_kinds = (nn.Parameter, type(None))  # as nn.Linear(bias=False) registers it
    return (
        type(own.get("weight")) is nn.Parameter
        and "bias" in own
        and type(own["bias"]) in bias_kinds
        and "forward" not in vars(module)
        and not has_more(module)
        and not _TAKEN.intersection(set_on(module))
    )


def has_more(module: nn.Module) -> bool:
    """Does it hold more than weight and bias, as an adapter by hooks does? A successor would not have it."""
    own = [tensor for name, tensor in module._parameters.items() if name not in ("weight", "bias")]
    return any(held is not None for held in (*own, *module._buffers.values(), *module._modules.values()))


def set_on(module: nn.Module) -> dict[str, Any]:
    """The plain attributes that somebody set on a layer, beyond those that its class gives it.

    None where another library has replaced the forward: attributes are its own then, and belong to that forward.
    """
    own = _OF_CLASS[nn.Linear] | {"nf", "nx"} if _is_conv1d(module) else _OF_CLASS.get(type(module))
    if own is None or "forward" in vars(module):
        return {}
    return {name: value for name, value in vars(module).items() if name not in own}


def is_linear(module: nn.Module) -> bool:
    """Is it an ``nn.Linear``, or transformers' Conv1D, that PackedLinear can stand for?"""
    return (type(module) is nn.Linear or _is_conv1d(module)) and is_plain(module)


def weight_of(layer: Any) -> Tensor:
    """The weight of a linear layer as [N, K], a view."""
    weight: Tensor = layer.weight.detach()
    return weight.t() if _is_conv1d(layer) else weight


def find_layers(
    model: object, is_wanted: Callable[[nn.Module], bool], verb: str, alone: str, *, packs: bool = True
) -> list[Found]:
    """The layers to swap, in the order of the model, each once, with every path to it.

    Args:
        model: what the caller was given.
        is_wanted: is it such a layer?
        verb: what the user called; errors begin with it.
        alone: what to call with a layer that is in no model.
        packs: does the successor hold another weight, so that a hook that reads it would read bytes?

    Raises:
        InvalidArgumentError: `model` is no module, or is such a layer itself, and nothing holds it.
    """
    if not isinstance(model, nn.Module):
        raise InvalidArgumentError(f"{verb}: not a model (got {type(model).__name__}, need a torch.nn.Module)")
    if is_wanted(model):
        raise InvalidArgumentError(
            f"{verb}: the model is itself a layer to swap, and nothing holds it (got {type(model).__name__}, need a "
            f"module with layers inside); use {alone}; nothing was changed"
        )
    unused = not_only_called(model, hooks=packs)
    found: dict[int, Found] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if is_wanted(module) and id(module) not in unused:
            found.setdefault(id(module), Found([], module)).names.append(name)
    return list(found.values())


def require_filter(filter_fn: object, verb: str) -> None:
    """Raises InvalidArgumentError unless it is a function, or None."""
    if filter_fn is not None and not callable(filter_fn):
        raise InvalidArgumentError(f"{verb}: filter_fn is no function (got {shown(filter_fn)}, need f(module, path))")


def head_of(model: nn.Module) -> nn.Module | None:
    """What transformers calls the output embeddings."""
    get = getattr(model, "get_output_embeddings", None)
    try:
        head = get() if callable(get) else None
    except (NotImplementedError, AttributeError):
        return None
    return head if isinstance(head, nn.Module) else None


def is_head(layer: Found, head: nn.Module | None) -> bool:
    """Is it the output head, which :func:`head_of` gave, or named as one?"""
    return layer.module is head or any(name.rpartition(".")[2] == _HEAD for name in layer.names)


def kept_layers(model: nn.Module, reasons: dict[int, str]) -> Iterator[KeptLayer]:
    """Every parameter of two axes or more that is left, once. `reasons` by id of a module go before others."""
    unused = not_only_called(model)
    seen: set[int] = set()
    for path, module in model.named_modules():
        for key, parameter in module._parameters.items():
            if parameter is None or nn.parameter.is_lazy(parameter) or parameter.dim() < 2 or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            name = path if key == "weight" else f"{path}.{key}".lstrip(".")
            layer = _computed(model, path, module)
            why = reasons.get(id(layer)) or unused.get(id(layer)) or _why(layer, parameter)
            yield KeptLayer(name, why, parameter.numel(), parameter.nbytes)


def first_kept(model: nn.Module, pattern: str = "*") -> str:
    """The end of a sentence: the first matrix of a layer at a path of this pattern that is kept, and why."""
    for layer in kept_layers(model, {}):
        path = layer.name.partition(".parametrizations.")[0]
        if any(fnmatch.fnmatchcase(name, pattern) for name in (path, path.rpartition(".")[0])):
            return f"; {layer.name} is kept: {layer.reason}"
    return ""


def _is_conv1d(module: object) -> bool:
    """GPT-2's; its weight is [K, N]."""
    kind = type(module)
    return kind.__name__ == "Conv1D" and kind.__module__ == "transformers.pytorch_utils"


def _computed(model: nn.Module, path: str, module: nn.Module) -> nn.Module:
    """The layer whose weight is computed by this one, if it is such, or else this one."""
    is_source = isinstance(module, ParametrizationList)
    return model.get_submodule(path.rpartition("parametrizations.")[0].rstrip(".")) if is_source else module


def _why(module: nn.Module, parameter: Tensor) -> str:
    for known, reason in _REASONS:
        if isinstance(module, known):
            return reason
    kind = type(module).__name__
    if "forward" in vars(module):
        return f"a {kind} whose forward another library has replaced"
    if taken := sorted(
        _TAKEN.intersection(set_on(module)) - {"weight", "bias"}
    ):  # a hook that computes these sets them
        return f"somebody set {taken[0]} on it, which means something else to its successor"
    if parameter.dim() == 3:
        return f"a 3-d parameter of {kind}, as fused experts are"
    if isinstance(module, nn.Linear):
        return _why_linear(module)
    return "a float layer" if is_linear(module) else f"a parameter of {kind}"


def _why_linear(module: nn.Linear) -> str:
    for hook in module._forward_pre_hooks.values():
        for known, cure in _CURES:
            if isinstance(hook, known):
                return f"a hook computes its weight or bias before each call; {cure} first"
    if is_parametrized(module):
        return "its weight or bias is parametrized; torch.nn.utils.parametrize.remove_parametrizations first"
    if type(module) is BitLinear:
        return "a BitLinear, which convert_ packs"
    if type(module) is not nn.Linear:
        return f"a subclass of nn.Linear that bnq does not know ({type(module).__name__})"
    if has_more(module):
        return "it holds parameters, buffers or layers beside weight and bias, which its successor would not have"
    return "a float layer" if is_plain(module) else "its weight or bias is no plain nn.Parameter of its own"
