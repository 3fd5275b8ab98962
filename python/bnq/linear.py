"""A product with low-bit weights."""

from typing import Any

from . import _core
from ._arrays import PLAIN_TORCH, Array, borrow, borrow_packed
from .errors import InvalidArgumentError, UnsupportedError
from .layout import PackedTensor
from .quantized_tensor import QuantizedTensor

__all__ = ["Linear"]


class Linear:
    """y = x Wᵀ + bias with low-bit weights [N, K], and activations quantized to int8 per token inside.

    Sums are exact int32, and the order of the float32 operations after them is fixed, so every CPU and every thread
    count gives the same bits. A token that holds NaN or infinity gives NaN in its own outputs. No gradient flows
    through.

    Where a kernel reads a PackedTensor's layout as it lies (docs: Kernels), its bytes are shared and not copied: they
    must not change while the Linear is in use. ``explain()`` says whether that is so.

    Args:
        weight: two axes, any scheme.
        bias: [N] in f32, f16 or bf16, or None.

    Raises:
        UnsupportedError: another number of axes, or so deep that sums might not fit in int32.
        InvalidArgumentError: a bias of another length, or one that is not finite.
        BadContentError: the bytes of a PackedTensor hold a code that the scheme does not have.
    """

    __slots__ = ("_handle",)
    _handle: _core.Linear

    def __init__(self, weight: QuantizedTensor | PackedTensor, bias: Array | None = None) -> None:
        if not isinstance(weight, QuantizedTensor | PackedTensor):
            raise InvalidArgumentError(
                f"Linear: the weight is not quantized (got {type(weight).__name__}, need a QuantizedTensor or "
                "PackedTensor); use bnq.quantize(weight, scheme)"
            )
        self._handle = _core.Linear(weight._handle, None if bias is None else _float_vector(bias, weight.shape))

    def __call__(self, x: Array) -> Array:
        """x [..., K] in f32, f16 or bf16, any strides, to y [..., N] in x's framework and dtype.

        Callable from many threads at once.
        """
        quick = PLAIN_TORCH.product(self._handle, x)
        if quick is not None:
            return quick
        borrowed, framework = borrow(x, "Linear")
        y, address = framework.new((*borrowed.shape[:-1], self._handle.out_features), borrowed.dtype)
        self._handle.forward(borrowed, address)
        return framework.finished(y)

    @property
    def in_features(self) -> int:
        """K"""
        return self._handle.in_features

    @property
    def out_features(self) -> int:
        """N"""
        return self._handle.out_features

    @property
    def nbytes(self) -> int:
        """Bytes of weights, scales, sums and bias in the order of the kernel: what one token reads."""
        return self._handle.nbytes

    @property
    def own_nbytes(self) -> int:
        """Those of them that the Linear holds itself: all, but for a packed tensor's bytes where it reads those."""
        return self._handle.own_nbytes

    def explain(self) -> str:
        """The kernel that runs, its instruction set and tile, its memory, and why each better one was passed over."""
        return self._handle.explain()

    def __copy__(self) -> "Linear":
        return self  # it never changes

    def __deepcopy__(self, memo: Any) -> "Linear":
        return self

    def __reduce__(self) -> Any:
        """It keeps its weights in the form that its kernel reads, and a second copy would double its memory."""
        raise UnsupportedError(
            "Linear: cannot be pickled (need its weight and bias); pickle those, and make it again with "
            "bnq.Linear(weight, bias)"
        )

    def __repr__(self) -> str:
        return f"<bnq.{self.explain().splitlines()[0]}>"


def _float_vector(bias: Array, weight_shape: tuple[int, ...]) -> Any:
    """A bias is kept in float32, which holds all three float types exactly."""
    given = borrow(bias, "Linear bias")[0]
    dtype = given.dtype
    if tuple(given.shape) != weight_shape[:1]:
        raise InvalidArgumentError(
            f"Linear bias: another shape than the outputs' (got {list(given.shape)}, need {list(weight_shape[:1])})"
        )
    if dtype not in ("f32", "f16", "bf16"):
        raise UnsupportedError(f"Linear bias: this dtype is not used (got {dtype}, need f32, f16 or bf16); convert it")
    borrowed, _ = borrow_packed(bias, "Linear bias", need="f32, f16 or bf16", dtype="f32")
    return borrowed
