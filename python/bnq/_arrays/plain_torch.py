"""What bnq has learned of torch once its first tensor has come in: the quick way for plain tensors, and its threads.

A layer that is called once a token takes a few microseconds; saying everything about a tensor would take as many.
"""

import sys
from collections.abc import Callable
from typing import Any

from .. import _core
from .dtypes import torch_dtype

ForwardRows = Callable[[int, str, int, int], None]
"""_core.Linear.forward_rows: address, dtype, elements, address of the output."""


class PlainTorch:
    """Knows nothing, and takes nothing the quick way, before :meth:`meet`."""

    __slots__ = ("_count_threads", "_dtypes", "_said_threads", "_types")

    def __init__(self) -> None:
        self._types: frozenset[type] = frozenset()
        self._dtypes: dict[Any, str] = {}
        self._count_threads: Callable[[], int] = int
        self._said_threads = 0

    def meet(self) -> None:
        """Call it when a torch tensor has come in by the general way."""
        if not self._types:
            torch = sys.modules["torch"]
            # Two sets of threads that spin on the same CPUs would cost both of them a multiple of their time.
            _core.share_openmp_threads()
            self._dtypes = {torch_dtype(torch, name): name for name in ("f32", "f16", "bf16")}
            self._count_threads = torch.get_num_threads
            self._types = frozenset({torch.Tensor, torch.nn.Parameter})  # last: other threads look here first
        self._follow_threads()

    def product(self, forward: ForwardRows, features: tuple[int, int], x: Any) -> Any:
        """The product of a layer of (in, out) features, or None where only the general way can say what is the matter.

        Takes tensors that are their own memory, without gaps: no subclass, no wrapper of a transformation (which has
        no address and raises), nothing sparse, nested, negated or elsewhere.
        """
        if type(x) not in self._types or (dtype := self._dtypes.get(x.dtype)) is None:
            return None
        try:
            if not x.is_cpu or not x.is_contiguous() or x.is_neg():
                return None
            *batch, depth = x.shape
            if depth != features[0] or not depth:  # rows of nothing cannot be counted
                return None
            address = x.data_ptr()
        except (RuntimeError, ValueError):
            return None
        if self._count_threads() != self._said_threads:
            self._follow_threads()
        y = x.new_empty(*batch, features[1])
        forward(address, dtype, x.numel(), y.data_ptr())
        return y

    def _follow_threads(self) -> None:
        self._said_threads = self._count_threads()
        _core.suggest_num_threads(self._said_threads)


PLAIN_TORCH = PlainTorch()
