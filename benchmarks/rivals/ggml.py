"""ggml's TQ2_0 through its shared libraries, those of llama-cpp-python. Signatures are those of its ggml.h."""

import ctypes
from ctypes import POINTER, Structure, c_bool, c_char_p, c_float, c_int, c_int64, c_size_t, c_void_p
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import Call

from .protocol import Bound, Layers, Weight

F32, TQ2_0 = 0, 35
GRAPH_NODES_AT_ONE_TOKEN = 16


class InitParams(Structure):
    _fields_ = (("mem_size", c_size_t), ("mem_buffer", c_void_p), ("no_alloc", c_bool))


class Plan(Structure):
    _fields_ = (
        ("work_size", c_size_t),
        ("work_data", c_void_p),
        ("n_threads", c_int),
        ("threadpool", c_void_p),
        ("abort_callback", c_void_p),
        ("abort_callback_data", c_void_p),
        ("use_ref", c_bool),
    )


SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "ggml_init": (c_void_p, [InitParams]),
    "ggml_version": (c_char_p, []),
    "ggml_free": (None, [c_void_p]),
    "ggml_tensor_overhead": (c_size_t, []),
    "ggml_row_size": (c_size_t, [c_int, c_int64]),
    "ggml_new_tensor_2d": (c_void_p, [c_void_p, c_int, c_int64, c_int64]),
    "ggml_get_data": (c_void_p, [c_void_p]),
    "ggml_mul_mat": (c_void_p, [c_void_p, c_void_p, c_void_p]),
    "ggml_new_graph_custom": (c_void_p, [c_void_p, c_size_t, c_bool]),
    "ggml_build_forward_expand": (None, [c_void_p, c_void_p]),
    "ggml_quantize_chunk": (c_size_t, [c_int, c_void_p, c_void_p, c_int64, c_int64, c_int64, POINTER(c_float)]),
    "ggml_graph_plan": (Plan, [c_void_p, c_int, c_void_p]),
    "ggml_graph_compute": (c_int, [c_void_p, POINTER(Plan)]),
    "ggml_cpu_init": (None, []),
}


def library_folder() -> Path | None:
    """Where benchmarks/ggml.sh puts the libraries, else where an installed llama-cpp-python has them."""
    folders = [Path(__file__).resolve().parents[2] / "build/ggml/lib"]
    spec = find_spec("llama_cpp")
    if spec and spec.origin:
        folders.append(Path(spec.origin).parent / "lib")
    return next((folder for folder in folders if (folder / "libggml-cpu.so").exists()), None)


@cache
def ggml() -> Any:
    """Functions of both libraries under their own names."""
    folder = library_folder()
    assert folder
    libraries = [ctypes.CDLL(str(folder / f"lib{n}.so"), ctypes.RTLD_GLOBAL) for n in ("ggml-base", "ggml-cpu")]

    class Functions:
        pass

    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(next(library for library in libraries if hasattr(library, name)), name)
        function.restype, function.argtypes = result, arguments
        setattr(Functions, name, staticmethod(function))
    Functions.ggml_cpu_init()
    return Functions


class Context:
    """A ggml context: an arena for tensors and graphs."""

    def __init__(self, size: int) -> None:
        self.handle = ggml().ggml_init(InitParams(size, None, False))
        assert self.handle

    def __del__(self) -> None:
        ggml().ggml_free(self.handle)


class GgmlLayers:
    """Weights in one arena; every bind has an arena of its own for tokens, results and the graph."""

    def __init__(self, weight: Weight, copies: int) -> None:
        self._shape = out_features, in_features = weight.shape
        size = ggml().ggml_row_size(TQ2_0, in_features) * out_features
        self._context = Context(copies * (size + ggml().ggml_tensor_overhead() + 64) + 1_000_000)
        values = weight.as_float().numpy()
        packed = np.empty(size, np.uint8)
        ggml().ggml_quantize_chunk(TQ2_0, values.ctypes.data, packed.ctypes.data, 0, out_features, in_features, None)
        self._weights = []
        for _ in range(copies):
            tensor = ggml().ggml_new_tensor_2d(self._context.handle, TQ2_0, in_features, out_features)
            ctypes.memmove(ggml().ggml_get_data(tensor), packed.ctypes.data, size)
            self._weights.append(tensor)

    def bind(self, x: torch.Tensor, *, ring: bool) -> Bound:
        out_features, in_features = self._shape
        tokens = x.shape[0]
        repeats = max(1, GRAPH_NODES_AT_ONE_TOKEN // tokens)
        weights = self._weights if ring else self._weights[:1] * repeats
        arena = Context(len(weights) * (tokens * out_features * 4 + 2048) + 16 * tokens * in_features + 64_000_000)
        tensor = ggml().ggml_new_tensor_2d(arena.handle, F32, in_features, tokens)
        ctypes.memmove(ggml().ggml_get_data(tensor), x.contiguous().data_ptr(), x.numel() * 4)
        graph = ggml().ggml_new_graph_custom(arena.handle, 2 * len(weights) + 8, False)
        results = [ggml().ggml_mul_mat(arena.handle, w, tensor) for w in weights]
        for y in results:
            ggml().ggml_build_forward_expand(graph, y)
        return self._bound(arena, graph, results, tokens)

    def _bound(self, arena: Context, graph: int, results: list[int], tokens: int) -> Bound:
        plan = ggml().ggml_graph_plan(graph, torch.get_num_threads(), None)
        work = np.empty(plan.work_size + 64, np.uint8)
        plan.work_data = work.ctypes.data
        compute, address = ggml().ggml_graph_compute, ctypes.byref(plan)
        out_features = self._shape[0]

        def run(_keep: object = (self, arena, work)) -> None:
            if compute(graph, address) != 0:
                raise RuntimeError("ggml_graph_compute failed")

        def result() -> torch.Tensor:
            y = ggml().ggml_get_data(results[0])
            ctypes.memset(y, 0xFF, tokens * out_features * 4)  # NaN, so that an unwritten output is noticed
            run()
            values = ctypes.cast(y, POINTER(c_float))
            return torch.from_numpy(np.ctypeslib.as_array(values, (tokens, out_features)).copy())

        return Bound(Call(run, len(results)), result)


class GgmlTernary:
    """Many mul_mat nodes in one graph, as llama.cpp runs them."""

    name = "ggml TQ2_0"
    bytes_per_weight = 66 / 256

    def missing(self) -> str | None:
        return None if library_folder() else "neither built by benchmarks/ggml.sh nor llama-cpp-python installed"

    def make(self, weight: Weight, copies: int) -> Layers:
        return GgmlLayers(weight, copies)
