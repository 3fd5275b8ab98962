"""Whole models made of BitLinear, to be trained, and back, to be deployed."""

from torch import nn

from ..errors import InvalidArgumentError
from ..scheme import SchemeLike
from .bit_linear import BitLinear
from .coverage import Coverage
from .layers import Filter, Found, find_layers, first_kept, head_of, is_head, is_linear, is_plain, require_filter
from .memory import gives_memory_back
from .model import Chosen, Made, pack_all, swap_all
from .swap import swap

__all__ = ["convert_", "prepare_qat_"]


def prepare_qat_(
    model: nn.Module, scheme: SchemeLike = "ternary", filter_fn: Filter | None = None, *, norm: bool = False
) -> nn.Module:
    """Swaps linear layers for :class:`BitLinear`, in place; parameters and their names stay. Hooks move along.

    Args:
        model: to be trained. Changed only if all chosen layers can be swapped.
        scheme: of the weights.
        filter_fn: called with a layer that can be swapped and its path; true chooses it. Without it all but the output
            head.
        norm: as for BitLinear.

    Returns:
        `model`

    Raises:
        InvalidArgumentError: no layer is chosen (the message says why), no such scheme, or `model` is no model or
            itself a linear layer.
    """
    found = find_layers(
        model,
        lambda module: type(module) is nn.Linear and is_linear(module),
        "prepare_qat_",
        "BitLinear.from_linear(layer, scheme)",
        packs=False,
    )
    require_filter(filter_fn, "prepare_qat_")
    head = head_of(model)

    def is_wanted(layer: Found) -> bool:
        if filter_fn is None:
            return not is_head(layer, head)
        return any(filter_fn(layer.module, name) for name in layer.names)

    made = [(layer, BitLinear.from_linear(layer.module, scheme, norm=norm)) for layer in found if is_wanted(layer)]
    if not made:
        raise InvalidArgumentError(
            "prepare_qat_: no layer is chosen (need torch.nn.Linear that filter_fn takes)"
            + _why_none(model, found, filter_fn)
        )
    for layer, bit_linear in made:
        swap(model, layer, bit_linear)
    return model


@gives_memory_back
def convert_(model: nn.Module) -> Coverage:
    """Swaps every :class:`BitLinear` for the :class:`PackedLinear` of its scheme, in place, to be deployed.

    One with `norm` becomes an ``nn.Sequential`` of ``nn.RMSNorm`` and PackedLinear, and hooks move to the Sequential.
    All layers are swapped, or none. Layers that share a weight share its codes.

    Raises:
        InvalidArgumentError: there is none, or `model` is no model or itself a BitLinear.
        UnsupportedError: a weight on another device or in another dtype.
        BadContentError: a weight is NaN or infinite.
    """
    found = find_layers(
        model,
        lambda module: type(module) is BitLinear and is_plain(module),
        "convert_",
        "PackedLinear.from_linear(layer, layer.scheme), or convert_(nn.Sequential(layer)) where it has a norm",
    )
    if not found:
        raise InvalidArgumentError(
            f"convert_: the model has no BitLinear (need one); use prepare_qat_ or quantize_{first_kept(model)}"
        )
    packed = pack_all([Chosen(layer, layer.module.scheme) for layer in found], "convert_")
    norms = [_norm(layer.module) for layer in found]
    return swap_all(model, [Made(*row) for row in zip(found, packed, norms, strict=True)], {})


def _why_none(model: nn.Module, found: list[Found], filter_fn: Filter | None) -> str:
    why = "output head" if filter_fn is None else "filter_fn"
    return f"; {found[0].names[0]} is kept: {why}" if found else first_kept(model)


def _norm(layer: BitLinear) -> nn.Module | None:
    return nn.RMSNorm(layer.in_features, elementwise_affine=False) if layer.norm else None
