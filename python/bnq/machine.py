"""This machine: threads and instruction sets. No result depends on either."""

import operator
from dataclasses import dataclass
from typing import SupportsIndex

from . import _core
from .arguments import shown
from .errors import InvalidArgumentError

__all__ = ["CpuInfo", "Roofs", "cpu_info", "measure_roofs", "num_threads", "set_num_threads"]


@dataclass(frozen=True, slots=True)
class CpuInfo:
    """What kernels can use here."""

    name: str
    """The processor's own name, or "unknown"."""
    features: tuple[str, ...]
    """Instruction-set extensions that this CPU and system support, e.g. "avx2"."""
    isas: tuple[str, ...]
    """Instruction sets that bnq has kernels for and that run here, least first."""
    active_isa: str
    """The one in use: the best, or what the environment variable BNQ_ISA names."""
    kernels: tuple[str, ...]
    """Compiled kernels, best first."""


def cpu_info() -> CpuInfo:
    """What `bnq cpu` prints.

    Raises:
        UnsupportedError: BNQ_ISA names an instruction set that is not available here.
        InvalidArgumentError: BNQ_ISA names none.
    """
    return CpuInfo(
        name=_core.cpu_name(),
        features=tuple(_core.cpu_features()),
        isas=tuple(_core.available_isas()),
        active_isa=_core.active_isa(),
        kernels=tuple(_core.kernel_names()),
    )


@dataclass(frozen=True, slots=True)
class Roofs:
    """What this machine can do at most with the instruction set in use: what speeds are held against."""

    threads: int
    read_gb_per_s: float
    """10⁹ bytes a second read from memory, far past the caches."""
    int8_gmac_per_s: float
    """10⁹ int8 products a second, multiplied and summed in registers."""


def measure_roofs(threads: int | None = None) -> Roofs:
    """Measures them now, in about half a second and 256 MB: medians, so that one disturbance does not count.

    Args:
        threads: how many at once; None for :func:`num_threads`.

    Raises:
        InvalidArgumentError: not a number from 1 to 1024.
    """
    count = num_threads() if threads is None else threads
    return Roofs(count, *_core.measure_roofs(count))


def num_threads() -> int:
    """How many threads bnq may use at once. At first: BNQ_NUM_THREADS if set, else the CPUs this process may run on."""
    return _core.num_threads()


def set_num_threads(count: SupportsIndex) -> None:
    """Sets it, from 1 to 1024.

    Raises:
        InvalidArgumentError: another number.
    """
    try:
        whole = -1 if isinstance(count, bool) else operator.index(count)
        _core.set_num_threads(whole)
    except (TypeError, InvalidArgumentError):
        message = f"set_num_threads: not a number of threads (got {shown(count)}, need a whole number from 1 to 1024)"
        raise InvalidArgumentError(message) from None
