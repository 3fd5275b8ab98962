"""What a verb does about memory that a model no longer needs."""

import ctypes
import functools
import gc
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

_P = ParamSpec("_P")
_Result = TypeVar("_Result")
_MAPS = Path("/proc/self/maps")  # of Linux; elsewhere nothing is known of mapped files
_PRIVATE_FILE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) ...p \S+ \S+ [1-9]\d* +/", re.MULTILINE)


def gives_memory_back(verb: Callable[_P, _Result]) -> Callable[_P, _Result]:
    """After the verb, memory of the weights that it freed goes back to the system.

    glibc would keep most of it. And a checkpoint that was mapped into memory would stay there whole as long as one
    tensor of the model lies in it: where the verb freed more than they take, those that stay are copied out.

    Args:
        verb: with the model as its first argument, `model`.
    """

    @functools.wraps(verb)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _Result:
        model = kwargs.get("model", next(iter(args), None))
        before = nbytes_of(model) if isinstance(model, nn.Module) else 0
        try:
            result = verb(*args, **kwargs)
        finally:
            gc.collect()  # modules and their hooks are circles
            _trim()
        if isinstance(model, nn.Module):
            _leave_files(model, before - nbytes_of(model))
        return result

    return call


def nbytes_of(model: nn.Module) -> int:
    """Parameters and buffers, each memory once."""
    tensors = {t.data_ptr() or id(t): t.nbytes for t in _tensors(model) if not nn.parameter.is_lazy(t)}
    return sum(tensors.values())


def _tensors(model: nn.Module) -> list[Any]:
    return [*model.parameters(), *model.buffers()]


def _trim() -> None:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _leave_files(model: nn.Module, most: int) -> None:
    """Copies tensors out of files that are mapped for this process alone, if they take `most` bytes or fewer.

    Tensors keep their identity, strides and what they share with each other.
    """
    mapped = [(int(begin, 16), int(end, 16)) for begin, end in _PRIVATE_FILE.findall(_maps())]
    held = [t for t in _tensors(model) if _is_plain(t) and _lies_in(mapped, t.untyped_storage())]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage() for t in held}
    if sum(storage.nbytes() for storage in storages.values()) > most:
        return
    copies = {at: storage.clone() for at, storage in storages.items()}
    for tensor in held:
        copy = copies[tensor.untyped_storage().data_ptr()]
        with torch.no_grad():
            place = tensor.storage_offset(), tensor.size(), tensor.stride()
            tensor.data = torch.empty(0, dtype=tensor.dtype).set_(copy, *place)


def _maps() -> str:
    try:
        return _MAPS.read_text()
    except OSError:
        return ""


def _is_plain(tensor: object) -> bool:
    if type(tensor) is not Tensor and type(tensor) is not nn.Parameter:
        return False
    return tensor.is_cpu and tensor.layout == torch.strided and not tensor.is_inference()


def _lies_in(mapped: list[tuple[int, int]], storage: torch.UntypedStorage) -> bool:
    at = storage.data_ptr()
    return any(begin <= at < end for begin, end in mapped)
