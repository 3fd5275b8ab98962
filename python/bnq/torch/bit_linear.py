"""Training with low-bit weights: BitNet's BitLinear, and whole models made of it and back."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidArgumentError
from ..scheme import Scheme, SchemeLike, warn_of
from .coverage import Coverage
from .model import Chosen, head_of, is_head, pack_layers_
from .swap import Found, linear_layers, swap, weight_of

__all__ = ["BitLinear", "convert_", "prepare_qat_"]


class BitLinear(nn.Linear):
    """An ``nn.Linear`` that computes with quantized weights and int8 tokens, and trains its float weights.

    y = Q(x) Q(W)ᵀ + bias. Q is quantize and dequantize, in one operator, as bnq computes it elsewhere, to the bit;
    gradients go straight through it (the straight-through estimator of BitNet, arXiv:2310.11453, section 2.2). Weights,
    keys and ``state_dict`` are those of ``nn.Linear``, so optimizers, savers and float checkpoints know them.

    Args:
        in_features: K
        out_features: N
        bias: has it one?
        scheme: of the weights; ``"ternary"`` is BitNet b1.58.
        norm: RMSNorm without weights before tokens are quantized, as in BitNet's training recipe.
        device, dtype: as for ``nn.Linear``; float32, float16 or bfloat16 on the CPU.

    Raises:
        InvalidArgumentError: there is no such scheme.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        scheme: SchemeLike = "ternary",
        norm: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_features, out_features, bias, device=device, dtype=dtype)
        self.scheme, self.norm = Scheme(scheme), norm
        warn_of(self.scheme, stacklevel=2)
        self._names = str(self.scheme), str(Scheme.activations())

    @classmethod
    def from_linear(cls, layer: nn.Linear, scheme: SchemeLike = "ternary", *, norm: bool = False) -> "BitLinear":
        """The layer with the same parameters, the very ones: an optimizer that has them goes on."""
        if not isinstance(layer, nn.Linear):
            raise InvalidArgumentError(
                f"BitLinear: not a linear layer (got {type(layer).__name__}, need a torch.nn.Linear)"
            )
        made = cls(layer.in_features, layer.out_features, False, scheme=scheme, norm=norm, device="meta")
        made.weight = layer.weight
        made.register_parameter("bias", layer.bias)
        return made.train(layer.training)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., K] to y [..., N]."""
        weights, tokens = self._names
        if self.norm:
            x = nn.functional.rms_norm(x, (self.in_features,))
        fake_quantize = torch.ops.bnq.fake_quantize
        return nn.functional.linear(fake_quantize(x, tokens), fake_quantize(self.weight, weights), self.bias)

    def extra_repr(self) -> str:
        """What ``repr`` says between the brackets."""
        return f"{super().extra_repr()}, scheme={str(self.scheme)!r}" + (", norm=True" if self.norm else "")


def prepare_qat_(
    model: nn.Module,
    scheme: SchemeLike = "ternary",
    filter_fn: Callable[[nn.Module, str], bool] | None = None,
    *,
    norm: bool = False,
) -> nn.Module:
    """Swaps linear layers for :class:`BitLinear`, in place; parameters and their names stay.

    Args:
        model: to be trained.
        scheme: of the weights.
        filter_fn: called with a layer and its path; true chooses it. Without it all but the output head.
        norm: as for BitLinear.

    Returns:
        `model`

    Raises:
        InvalidArgumentError: no layer is chosen, or no such scheme.
    """
    head = head_of(model)

    def is_wanted(layer: Found) -> bool:
        if filter_fn is None:
            return not is_head(layer, head)
        return any(filter_fn(layer.module, name) for name in layer.names)

    found = linear_layers(model, weight_of)
    chosen = [layer for layer in found if type(layer.module) is nn.Linear and is_wanted(layer)]
    if not chosen:
        raise InvalidArgumentError(
            "prepare_qat_: no layer is chosen (need torch.nn.Linear that filter_fn takes); a BitLinear is one already"
        )
    for layer in chosen:
        swap(model, layer.names, BitLinear.from_linear(layer.module, scheme, norm=norm))
    return model


def convert_(model: nn.Module) -> Coverage:
    """Swaps every :class:`BitLinear` for the :class:`PackedLinear` of its scheme, in place, to be deployed.

    One with `norm` becomes an ``nn.Sequential`` of ``nn.RMSNorm`` and PackedLinear. All layers are swapped, or none.

    Raises:
        InvalidArgumentError: there is none.
        BadContentError: a weight is NaN or infinite.
    """
    found = list(linear_layers(model, lambda module: module.weight.detach() if type(module) is BitLinear else None))
    if not found:
        raise InvalidArgumentError("convert_: the model has no BitLinear (need one); use prepare_qat_ or quantize_")
    coverage = pack_layers_(model, [Chosen(layer, layer.module.scheme) for layer in found], {})
    for layer in found:
        if layer.module.norm:
            norm = nn.RMSNorm(layer.module.in_features, elementwise_affine=False)
            swap(model, layer.names, nn.Sequential(norm, model.get_submodule(layer.names[0])))
    return coverage
