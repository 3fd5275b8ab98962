"""Training with low-bit weights: BitNet's BitLinear."""

from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from ..arguments import flag
from ..errors import InvalidArgumentError, UnsupportedError
from ..scheme import Scheme, SchemeLike, warn_of
from .ops import fake_quantize, refuse_script, require_no_tangent

__all__ = ["BitLinear", "require_linear"]


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
        device, dtype: as for ``nn.Linear``; float32, float16 or bfloat16, on a device that computes
            the CPU's bits.

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
        self.scheme, self.norm = Scheme(scheme), flag(norm, "BitLinear norm")
        warn_of(self.scheme, stacklevel=2)

    @property
    def scheme(self) -> Scheme:
        """Of the weights; another one counts from the next call on."""
        return Scheme(self._names[0])

    @scheme.setter
    def scheme(self, scheme: SchemeLike) -> None:
        self._names = str(Scheme(scheme)), str(Scheme.activations())  # plain, so that compilers can read them

    @classmethod
    def from_linear(cls, layer: nn.Linear, scheme: SchemeLike = "ternary", *, norm: bool = False) -> "BitLinear":
        """The layer with the same parameters, the very ones: an optimizer that has them goes on.

        Raises:
            InvalidArgumentError: no such scheme, or `layer` is no ``nn.Linear`` with weight, bias and forward of its
                own.
        """
        if not isinstance(layer, nn.Linear):
            raise InvalidArgumentError(
                f"BitLinear: not a linear layer (got {type(layer).__name__}, need a torch.nn.Linear)"
            )
        for parameter in (layer.weight, layer.bias):
            if type(parameter) not in (nn.Parameter, type(None)):
                raise InvalidArgumentError(
                    f"BitLinear: weight and bias must be the layer's own (got {type(parameter).__name__}, need "
                    "nn.Parameter); remove what computes them, as torch.nn.utils.remove_weight_norm does"
                )
        require_linear(layer, "BitLinear")
        made = cls(layer.in_features, layer.out_features, False, scheme=scheme, norm=norm, device="meta")
        made.weight = layer.weight
        made.register_parameter("bias", layer.bias)
        return made.train(layer.training)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  as nn.Linear names it
        """Input [..., K] to output [..., N].

        Raises:
            UnsupportedError: another dtype or device, not dense, or with a forward-mode tangent.
            BadContentError: NaN or infinity in a weight or in the input.
        """
        weights, tokens = self._names
        x = input
        is_traced = isinstance(x, torch.fx.Proxy)  # by symbolic_trace: there is nothing yet to look at
        if not is_traced and x.is_nested:
            raise UnsupportedError(
                "BitLinear: not a dense tensor (got nested, need torch.strided); use tensor.to_padded_tensor(0.0)"
            )
        if not is_traced and not torch.compiler.is_compiling() and forward_ad._current_level >= 0:
            for dual in (x, self.weight):
                require_no_tangent(dual, "BitLinear")
        if self.norm:
            x = nn.functional.rms_norm(x, (self.in_features,))
        return nn.functional.linear(fake_quantize(x, tokens), fake_quantize(self.weight, weights), self.bias)

    def __prepare_scriptable__(self) -> NoReturn:
        """What torch.jit.script calls first."""
        refuse_script("BitLinear")

    def extra_repr(self) -> str:
        """What ``repr`` says between the brackets."""
        return f"{super().extra_repr()}, scheme={str(self.scheme)!r}" + (", norm=True" if self.norm else "")


def require_linear(layer: nn.Linear, where: str) -> None:
    """Raises InvalidArgumentError unless it computes what nn.Linear does, from a weight that is there before a call."""
    if "forward" in vars(layer) or type(layer).forward not in (nn.Linear.forward, BitLinear.forward):
        raise InvalidArgumentError(
            f"{where}: the layer computes something else (got {type(layer).__name__} with a forward of its own, need "
            "torch.nn.Linear's); give an nn.Linear of its weight and bias, if that is meant"
        )
    computed = [name for name in ("weight", "bias") if name in vars(layer)]
    if computed:
        raise InvalidArgumentError(
            f"{where}: a hook computes the {computed[0]} before each call, and what is there may be older (got "
            f"{type(vars(layer)[computed[0]]).__name__}, need nn.Parameter); remove it first, as "
            "torch.nn.utils.remove_weight_norm and torch.nn.utils.prune.remove do"
        )
