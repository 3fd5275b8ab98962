"""Whole models: which of their layers become low-bit, and the swap."""

import fnmatch
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from ..arguments import shown, text
from ..errors import InvalidArgumentError, UnsupportedError
from ..quantized_tensor import quantize_as
from ..scheme import Scheme, SchemeLike, warn_of
from .coverage import Coverage, CoveredLayer
from .layers import (
    Filter,
    Found,
    find_layers,
    first_kept,
    head_of,
    is_head,
    is_linear,
    kept_layers,
    require_filter,
    weight_of,
)
from .memory import gives_memory_back, nbytes_of
from .ops import on_cpu, require_exact
from .packed_linear import PackedLinear
from .swap import naming, swap
from .tied import Tied

__all__ = ["quantize_"]


class Chosen(NamedTuple):
    """A layer and what it becomes."""

    found: Found
    scheme: Scheme


class Made(NamedTuple):
    """A layer and what takes its place."""

    found: Found
    packed: PackedLinear
    norm: nn.Module | None = None
    """Goes before it."""


@gives_memory_back
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
    output head, and a layer whose weight is tied to a module of another kind. Always kept, with the reason: layers
    whose weight a hook or a parametrization computes (``weight_norm``, ``prune``), and the ``out_proj`` of
    ``nn.MultiheadAttention``, which is never called. Layers that share a weight share its codes. Hooks on a layer move
    to its successor, and their handles still remove them; hooks of ``state_dict`` do not.

    Args:
        model: changed in place, and only when all layers could be quantized.
        scheme: a precision (``8``), a name (``"ternary"``, ``"4:group(128)"``) or a :class:`bnq.Scheme`.
        filter_fn: called with a layer that can be swapped and its path; true chooses it.
        device: where the packed layers go; None: each where its layer is. Other devices than the CPU compute by torch's
            own operations, and are asked first whether these give the same bits.
        rules: scheme by pattern of paths (``*``, ``?``, ``[…]``), None or ``"keep"`` to keep; the last that matches
            wins, over `filter_fn` too.

    Returns:
        What was done, what was kept and why. It prints well.

    Raises:
        InvalidArgumentError: nothing to quantize (the message says why), `model` is no model or itself a linear layer,
            no such device, a rule that matches nothing.
        UnsupportedError: a device that torch has not, or that computes other bits; another dtype, or a shape that no
            layout holds.
        BadContentError: a weight is NaN or infinite.
    """
    found = find_layers(model, is_linear, "quantize_", "PackedLinear.from_linear(layer, scheme)")
    require_filter(filter_fn, "quantize_")
    _require_rules(rules)
    place = _device(device)
    choose = _Chooser(model, found, scheme=scheme, filter_fn=filter_fn, rules=rules)
    chosen = [Chosen(layer, which) for layer in found if (which := choose(layer)) is not None]
    choose.require_followed()
    if not chosen:
        raise InvalidArgumentError("quantize_: " + _why_nothing(model, found, choose))
    packed = pack_all(chosen, "quantize_", place)
    return swap_all(model, [Made(layer, made) for (layer, _), made in zip(chosen, packed, strict=True)], choose.reasons)


def pack_all(chosen: list[Chosen], verb: str, device: torch.device | None = None) -> list[PackedLinear]:
    """Each layer packed, on `device` or its own. Those that share a weight share its codes."""
    tied = Tied()
    places = [device or layer.found.module.weight.device for layer in chosen]
    for place in set(places) - {torch.device("cpu"), torch.device("meta")}:  # on meta there is nothing to quantize
        require_exact(place)
    packed = [_packed(layer, verb, tied) for layer in chosen]
    tied.move(packed, places)
    return packed


def swap_all(model: nn.Module, made: list[Made], reasons: dict[int, str]) -> Coverage:
    """Puts them in. `reasons` says by id of a module why it is kept."""
    before = nbytes_of(model)
    rows = [_row(layer) for layer in made]
    for layer, packed, norm in made:
        swap(model, layer, packed if norm is None else nn.Sequential(norm, packed))
    return Coverage(tuple(rows), tuple(kept_layers(model, reasons)), before, nbytes_of(model))


class _Chooser:
    """Decides on each layer, and remembers why one is kept."""

    def __init__(
        self,
        model: nn.Module,
        found: list[Found],
        *,
        scheme: SchemeLike,
        filter_fn: Filter | None,
        rules: Mapping[str, Any] | None,
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
        self.model = model
        self.head = head_of(model)
        self.ties = _ties(model, {id(layer.module) for layer in found})

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
        if id(layer.module.weight) in self.ties:
            return self._keep(layer, f"its weight is tied to {self.ties[id(layer.module.weight)]}")
        return self.scheme

    def require_followed(self) -> None:
        for pattern, count in self.hits.items():
            if count == 0:
                why = first_kept(self.model, pattern)
                raise InvalidArgumentError(
                    f"quantize_: a rule matches no linear layer that can be swapped (got {shown(pattern)}, need a "
                    f"pattern of paths such as 'encoder.*.dense'){why}"
                )

    def _keep(self, layer: Found, why: str) -> Scheme | None:
        self.reasons[id(layer.module)] = why
        return None


def _require_rules(rules: object) -> None:
    if rules is None:
        return
    if not isinstance(rules, Mapping):
        raise InvalidArgumentError(f"quantize_: rules are no dict (got {shown(rules)}, need {{pattern: scheme}})")
    for pattern in rules:
        text(pattern, "quantize_: the pattern of a rule", "a pattern of paths such as 'encoder.*.dense'")


def _device(device: Any) -> torch.device | None:
    if device is None:
        return None
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InvalidArgumentError(f"quantize_: no device (got {shown(device)}, need 'cpu', 'cuda' or None)") from error
    try:
        return torch.empty(0, device=place).device  # with its number
    except (RuntimeError, AssertionError, ImportError) as error:
        why = str(error).splitlines()[0]
        raise UnsupportedError(f"quantize_: torch has no such device here (got {shown(device)}: {why})") from error


def _ties(model: nn.Module, found: set[int]) -> dict[int, str]:
    """By id of a parameter the path by which a module that is not `found` holds it."""
    return {
        id(parameter): f"{name}.{key}".lstrip(".")
        for name, module in model.named_modules()
        if id(module) not in found
        for key, parameter in module._parameters.items()
        if parameter is not None
    }


def _why_nothing(model: nn.Module, found: list[Found], choose: _Chooser) -> str:
    packed = sum(isinstance(module, PackedLinear) for module in model.modules())
    if packed:
        return (
            f"the model is quantized already (got {packed} PackedLinear, need float layers to quantize); quantize a "
            "float model anew"
        )
    if not found:
        need = "need torch.nn.Linear, or Conv1D of transformers"
        return f"the model has no linear layer that can be swapped ({need}){first_kept(model)}"
    first = found[0]
    return (
        f"no layer is chosen (got {len(found)} linear layers, {first.names[0]} kept: "
        f"{choose.reasons[id(first.module)]}); choose others by filter_fn or rules"
    )


def _packed(chosen: Chosen, verb: str, tied: Tied) -> PackedLinear:
    (names, module), scheme = chosen
    with naming(verb, names[0]):
        key = id(module.weight), type(module), str(scheme)  # another type may read it transposed
        return tied.layer(key, lambda: quantize_as(on_cpu(weight_of(module)), scheme, "weight"), module.bias)


def _row(made: Made) -> CoveredLayer:
    module, packed = made.found.module, made.packed
    before = sum(t.nbytes for t in (*module._parameters.values(), *module._buffers.values()) if t is not None)
    after = sum(t.nbytes for t in (packed.weight, packed.scales, packed.bias) if t is not None)
    weights = packed.in_features * packed.out_features
    return CoveredLayer(made.found.names[0], str(packed.scheme), weights, before, after)
