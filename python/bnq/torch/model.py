"""Whole models: which of their layers become low-bit, and the swap."""

import fnmatch
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..arguments import shown
from ..errors import Error, InvalidArgumentError, UnsupportedError
from ..quantized_tensor import quantize_as
from ..scheme import Scheme, SchemeLike, warn_of
from .coverage import Coverage, CoveredLayer, KeptLayer
from .packed_linear import PackedLinear
from .swap import Found, linear_layers, nbytes_of, swap, weight_of

__all__ = ["quantize_"]

Filter = Callable[[nn.Module, str], bool]
_HEAD = "lm_head"  # as transformers names it


class Chosen(NamedTuple):
    """A layer and what it becomes."""

    found: Found
    scheme: Scheme


def quantize_(
    model: nn.Module,
    scheme: SchemeLike = 8,
    filter_fn: Filter | None = None,
    device: str | torch.device | None = None,
    *,
    rules: Mapping[str, SchemeLike | None] | None = None,
) -> Coverage:
    """Swaps linear layers of a model for :class:`PackedLinear`, in place. torchao's verb and argument order.

    ``nn.Linear`` is swapped, and the Conv1D of transformers' GPT-2. Kept, unless `filter_fn` or a rule names them: the
    output head, and a layer whose weight is tied to another module's. Layers that share one weight share one packed
    layer. Hooks on a layer move to its successor.

    Args:
        model: changed in place, and only when all layers could be quantized.
        scheme: a precision (``8``), a name (``"ternary"``, ``"4:group(128)"``) or a :class:`bnq.Scheme`.
        filter_fn: called with a layer and its path; true chooses it.
        device: the layers' device is the CPU; None or ``"cpu"``.
        rules: scheme by pattern of paths (``*``, ``?``, ``[…]``), None or ``"keep"`` to keep; the last that matches
            wins, over `filter_fn` too.

    Returns:
        What was done, what was kept and why. It prints well.

    Raises:
        InvalidArgumentError: nothing to quantize (the message says why), `model` is itself a linear layer, a rule that
            matches nothing.
        UnsupportedError: a weight on another device or in another dtype, or a shape that no layout holds.
        BadContentError: a weight is NaN or infinite.
    """
    if not isinstance(model, nn.Module):
        raise InvalidArgumentError(f"quantize_: not a model (got {type(model).__name__}, need a torch.nn.Module)")
    if filter_fn is not None and not callable(filter_fn):
        raise InvalidArgumentError(
            f"quantize_: filter_fn is no function (got {shown(filter_fn)}, need f(module, path))"
        )
    if rules is not None and not isinstance(rules, Mapping):
        raise InvalidArgumentError(f"quantize_: rules are no dict (got {shown(rules)}, need {{pattern: scheme}})")
    if device is not None and torch.device(device).type != "cpu":
        raise UnsupportedError(f"quantize_: layers are packed on the CPU (got device {device}, need 'cpu')")
    if weight_of(model) is not None:
        raise InvalidArgumentError(
            "quantize_: the model is itself a linear layer, which cannot be swapped in place; use "
            "PackedLinear.from_linear(layer, scheme)"
        )
    choose = _Chooser(model, scheme, filter_fn, rules)
    found = list(linear_layers(model, weight_of))
    chosen = [Chosen(layer, which) for layer in found if (which := choose(layer)) is not None]
    choose.require_followed()
    if not chosen:
        raise InvalidArgumentError("quantize_: " + _why_nothing(model, found, choose))
    return pack_layers_(model, chosen, choose.reasons)


def pack_layers_(model: nn.Module, chosen: list[Chosen], reasons: dict[int, str]) -> Coverage:
    """Swaps these layers, all or none. `reasons` says by id of a module why it is kept."""
    before = nbytes_of(model)
    covered = swap_packed(model, chosen)
    return Coverage(tuple(covered), tuple(kept_layers(model, reasons)), before, nbytes_of(model))


def swap_packed(model: nn.Module, chosen: list[Chosen]) -> list[CoveredLayer]:
    """What pack_layers_ does, without a look at the rest of the model."""
    packed = _pack_all(chosen)
    covered = []
    for (names, module, weight), _ in chosen:
        before = weight.nbytes + (0 if module.bias is None else module.bias.nbytes)
        covered.append(covered_layer(names[0], before, packed[id(module)]))
        swap(model, names, packed[id(module)])
    return covered


class _Chooser:
    """Decides on each layer, and remembers why one is kept."""

    def __init__(
        self, model: nn.Module, scheme: SchemeLike, filter_fn: Filter | None, rules: Mapping[str, Any] | None
    ) -> None:
        self.scheme = Scheme(scheme)
        warn_of(self.scheme, stacklevel=4)
        self.filter_fn = filter_fn
        self.rules = [
            (pattern, None if kind is None or kind == "keep" else Scheme(kind))
            for pattern, kind in (rules or {}).items()
        ]
        self.hits = dict.fromkeys((pattern for pattern, _ in self.rules), 0)
        self.reasons: dict[int, str] = {}
        self.head = head_of(model)
        self.owners = _owners(model)

    def __call__(self, layer: Found) -> Scheme | None:
        last: tuple[str, Scheme | None] | None = None
        for pattern, scheme in self.rules:
            if any(fnmatch.fnmatchcase(name, pattern) for name in layer.names):
                self.hits[pattern] += 1
                last = pattern, scheme
        if last is not None:
            return last[1] if last[1] is not None else self._keep(layer, f"rule {last[0]!r}")
        if self.filter_fn is not None:
            is_wanted = any(self.filter_fn(layer.module, name) for name in layer.names)
            return self.scheme if is_wanted else self._keep(layer, "filter_fn")
        if is_head(layer, self.head):
            return self._keep(layer, "output head")
        others = [name for module, name in self.owners[id(layer.module.weight)] if weight_of(module) is None]
        if others:
            return self._keep(layer, f"its weight is tied to {others[0]}")
        return self.scheme

    def require_followed(self) -> None:
        for pattern, count in self.hits.items():
            if count == 0:
                raise InvalidArgumentError(
                    f"quantize_: a rule matches no linear layer (got {shown(pattern)}, need a pattern of paths such "
                    "as 'encoder.*.dense')"
                )

    def _keep(self, layer: Found, why: str) -> Scheme | None:
        self.reasons[id(layer.module)] = why
        return None


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
    return layer.module is head or layer.names[0].rpartition(".")[2] == _HEAD


def _owners(model: nn.Module) -> dict[int, list[tuple[nn.Module, str]]]:
    """Who holds each parameter, by its id."""
    owners: dict[int, list[tuple[nn.Module, str]]] = {}
    for name, module in model.named_modules():
        for key, parameter in module._parameters.items():
            if parameter is not None:
                owners.setdefault(id(parameter), []).append((module, f"{name}.{key}".lstrip(".")))
    return owners


def _why_nothing(model: nn.Module, found: list[Found], choose: _Chooser) -> str:
    packed = sum(isinstance(module, PackedLinear) for module in model.modules())
    if packed:
        return (
            f"the model is quantized already (got {packed} PackedLinear, need float layers to quantize); quantize a "
            "float model anew"
        )
    if not found:
        return "the model has no linear layer (need torch.nn.Linear, or Conv1D of transformers)"
    first = found[0]
    return (
        f"no layer is chosen (got {len(found)} linear layers, {first.names[0]} kept: "
        f"{choose.reasons[id(first.module)]}); choose others by filter_fn or rules"
    )


def _pack_all(chosen: list[Chosen]) -> dict[int, PackedLinear]:
    """By id of the layer; those that share weight, bias and scheme share one."""
    packed: dict[int, PackedLinear] = {}
    shared: dict[tuple[int, int, str, bool], PackedLinear] = {}
    for (names, module, weight), scheme in chosen:
        key = id(module.weight), id(module.bias), str(scheme), module.training
        if key not in shared:
            try:
                q = quantize_as(weight, scheme, "weight")
                shared[key] = PackedLinear.from_quantized(q, module.bias).train(module.training)
            except Error as error:
                raise type(error)(f"quantize_: {names[0]}: {error}; nothing was changed") from error
        packed[id(module)] = shared[key]
    return packed


def covered_layer(name: str, bytes_before: int, packed: PackedLinear) -> CoveredLayer:
    """A row of a Coverage."""
    after = sum(tensor.nbytes for tensor in (packed.weight, packed.scales, packed.bias) if tensor is not None)
    weights = packed.in_features * packed.out_features
    return CoveredLayer(name, str(packed.scheme), weights, bytes_before, after)


def kept_layers(model: nn.Module, reasons: dict[int, str]) -> Iterator[KeptLayer]:
    """Every parameter of two axes or more that is left, once."""
    seen: set[int] = set()
    for path, module in model.named_modules():
        for key, parameter in module._parameters.items():
            if parameter is None or nn.parameter.is_lazy(parameter) or parameter.dim() < 2 or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            name = path if key == "weight" else f"{path}.{key}".lstrip(".")
            yield KeptLayer(
                name, reasons.get(id(module)) or _why(module, parameter), parameter.numel(), parameter.nbytes
            )


def _why(module: nn.Module, parameter: Tensor) -> str:
    kind = type(module).__name__
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return "embedding"
    if "forward" in vars(module):
        return f"a {kind} whose forward another library has replaced"
    if parameter.dim() == 3:
        return f"a 3-d parameter of {kind}, as fused experts are"
    if isinstance(module, nn.Linear):
        return f"a subclass of nn.Linear that bnq does not know ({kind})"
    return f"a parameter of {kind}"
