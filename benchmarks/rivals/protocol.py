"""What the runner needs of a rival, and of us."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from timing import Call

RING_BYTES = 280_000_000
"""More than any last-level cache here holds: as many copies of a layer's weights take part in the row from memory."""


@dataclass(frozen=True)
class Weight:
    """A ternary weight [out_features, in_features]: codes in {-1, 0, 1} times one scale.

    Every subject can hold it exactly or nearly so: one float product is the reference for all of them.
    """

    codes: NDArray[np.int8]
    scale: float

    @staticmethod
    def random(out_features: int, in_features: int) -> "Weight":
        rng = np.random.default_rng(out_features * 31 + in_features)
        return Weight(rng.integers(-1, 2, (out_features, in_features), np.int8), 0.02)

    @property
    def shape(self) -> tuple[int, int]:
        return self.codes.shape[0], self.codes.shape[1]

    def as_float(self) -> torch.Tensor:
        return torch.from_numpy(self.codes).float() * self.scale


class RefusedError(Exception):
    """The subject does not do this case. The text says so in the report."""


@dataclass(frozen=True)
class Bound:
    """A subject with its tokens: what is timed, and what it gives."""

    call: Call
    result: Callable[[], torch.Tensor]
    """y [tokens, out_features] in float32, computed anew."""


class Layers(Protocol):
    """One layer's weights, in one or more copies."""

    def bind(self, x: torch.Tensor, *, ring: bool) -> Bound:
        """Tokens x [tokens, in_features] f32. With ring all copies take turns, else one is called again and again."""


class Rival(Protocol):
    """One way to compute a layer: float32 or bfloat16 in, the same out."""

    name: str
    bytes_per_weight: float

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""

    def make(self, weight: Weight, copies: int) -> Layers: ...


def copies_for(rival: Rival, weight: Weight) -> int:
    return max(2, -(-RING_BYTES // int(weight.codes.size * rival.bytes_per_weight)))


def missing_modules(*names: str) -> str | None:
    lacking = [name for name in names if find_spec(name) is None]
    return f"not installed: {', '.join(lacking)}" if lacking else None


class CallableLayers:
    """Layers that are Python callables from tokens to a torch tensor."""

    def __init__(self, layers: Sequence[Callable[[Any], torch.Tensor]], dtype: torch.dtype = torch.float32) -> None:
        self._layers = layers
        self._dtype = dtype

    def bind(self, x: torch.Tensor, *, ring: bool) -> Bound:
        first, tokens = self._layers[0], x.to(self._dtype)
        if not ring:
            return Bound(Call(lambda: first(tokens)), lambda: first(tokens).float())
        turn = itertools.cycle(self._layers).__next__
        return Bound(Call(lambda: turn()(tokens), lap=len(self._layers)), lambda: first(tokens).float())
