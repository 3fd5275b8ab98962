"""What a verb does about memory that a model no longer needs."""

import bisect
import ctypes
import functools
import gc
import mmap
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
from torch import nn

_P = ParamSpec("_P")
_Result = TypeVar("_Result")
_MAPS = Path("/proc/self/maps")  # of Linux; elsewhere nothing is known of mapped files
_PRIVATE_FILE = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) ...p \S+ \S+ [1-9]\d* +/", re.MULTILINE)
_MADV_PAGEOUT = 21  # Linux 5.4: pages leave memory, and come back as they were when they are read


def gives_memory_back(verb: Callable[_P, _Result]) -> Callable[_P, _Result]:
    """After the verb, memory of the weights that it freed goes back to the system.

    glibc would keep most of it. And a checkpoint that is mapped into memory would stay there whole as long as one
    tensor of the model lies in it: the pages that no tensor of the model needs are sent away. No tensor changes or
    moves, and what else reads those pages has them from the file again.

    Args:
        verb: with the model as its first argument, `model`.
    """

    @functools.wraps(verb)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _Result:
        try:
            result = verb(*args, **kwargs)
        finally:
            gc.collect()  # modules and their hooks are circles
            _trim()
        model = kwargs.get("model", next(iter(args), None))
        if isinstance(model, nn.Module):
            _page_out(model)
        return result

    return call


def nbytes_of(model: nn.Module) -> int:
    """Dense parameters and buffers, each memory once."""
    dense = [t for t in _tensors(model) if not nn.parameter.is_lazy(t) and t.layout == torch.strided]
    tensors = {_place(t) or id(t): t.nbytes for t in dense}
    return sum(tensors.values())


def _place(tensor: Any) -> int:
    try:
        place: int = tensor.data_ptr()
    except (RuntimeError, NotImplementedError):  # of another library
        return 0
    return place


def _tensors(model: nn.Module) -> list[Any]:
    return [*model.parameters(), *model.buffers()]


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def _trim() -> None:
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _page_out(model: nn.Module) -> None:
    """Sends away what lies between the model's tensors in files that are mapped for this process alone."""
    held = sorted({span for tensor in _tensors(model) if (span := _span(tensor)) is not None})
    for begin, end in _mapped_files():
        inside = held[bisect.bisect_left(held, (begin, 0)) : bisect.bisect_left(held, (end, 0))]
        at = begin
        for first, last in [*inside, (end, end)] if inside else []:
            _advise(at, first)
            at = max(at, last)


def _span(tensor: Any) -> tuple[int, int] | None:
    """Where a tensor's storage lies, if it has one on the CPU."""
    try:
        storage = tensor.untyped_storage()
        at, size = storage.data_ptr(), storage.nbytes()
    except (RuntimeError, NotImplementedError, ValueError):  # sparse, lazy, of another library
        return None
    return (at, at + size) if storage.device.type == "cpu" and size > 0 else None


def _mapped_files() -> Iterator[tuple[int, int]]:
    try:
        maps = _MAPS.read_bytes()
    except OSError:
        return
    for begin, end in _PRIVATE_FILE.findall(maps):
        yield int(begin, 16), int(end, 16)


def _advise(begin: int, end: int) -> None:
    """On whole pages. A system that does not know how, or may not, leaves them."""
    first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
    size = end // mmap.PAGESIZE * mmap.PAGESIZE - first
    if size > 0:
        _libc().madvise(ctypes.c_void_p(first), ctypes.c_size_t(size), _MADV_PAGEOUT)
