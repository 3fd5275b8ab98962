"""What bnq has learned of torch once its first tensor has come in: the quick way for plain tensors, and its threads.

A layer that is called once a token takes a few microseconds; saying everything about a tensor would take as many.
"""

import sys
from typing import Any

from .. import _core


class PlainTorch:
    """Knows nothing, and takes nothing the quick way, before :meth:`meet`."""

    __slots__ = ("_count_threads", "_exchange_api", "_said_threads", "_types")

    def __init__(self) -> None:
        self._types: frozenset[type] = frozenset()
        self._exchange_api: Any = None
        self._count_threads: Any = int
        self._said_threads = 0

    def meet(self) -> None:
        """Call it when a torch tensor has come in by the general way."""
        if not self._types:
            torch = sys.modules["torch"]
            # Two sets of threads that spin on the same CPUs would cost both of them a multiple of their time.
            _core.share_openmp_threads()
            self._count_threads = torch.get_num_threads
            self._exchange_api = getattr(torch.Tensor, "__dlpack_c_exchange_api__", None)  # since torch 2.10
            if self._exchange_api is not None:
                self._types = frozenset({torch.Tensor, torch.nn.Parameter})  # last: other threads look here first
        self._follow_threads()

    def product(self, layer: _core.Linear, x: Any) -> Any:
        """The product, or None where only the general way can compute it or say what is the matter.

        Takes tensors that are their own memory, without gaps: no subclass, no wrapper of a transformation (which has
        no address), nothing sparse, nested, negated or elsewhere.
        """
        if type(x) not in self._types or x.is_neg():
            return None
        if self._count_threads() != self._said_threads:
            self._follow_threads()
        return layer.forward_torch(x, self._exchange_api)

    def _follow_threads(self) -> None:
        self._said_threads = self._count_threads()
        _core.suggest_num_threads(self._said_threads)


PLAIN_TORCH = PlainTorch()
