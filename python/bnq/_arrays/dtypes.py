"""Names of dtypes: bnq's own ("f32", "bf16", …) and those that numpy and torch use ("float32", "bfloat16", …)."""

from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from ..arguments import shown
from ..errors import InvalidArgumentError, UnsupportedError

_FRAMEWORK_NAMES = {
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    "f64": "float64",
    "i8": "int8",
    "u8": "uint8",
    "i16": "int16",
    "u16": "uint16",
    "i32": "int32",
    "u32": "uint32",
    "i64": "int64",
    "u64": "uint64",
    "bool": "bool",
    "f8_e4m3": "float8_e4m3fn",
    "f8_e5m2": "float8_e5m2",
    "f8_e8m0": "float8_e8m0fnu",
    "f8_e4m3fnuz": "float8_e4m3fnuz",
    "f8_e5m2fnuz": "float8_e5m2fnuz",
    "c64": "complex64",
}
_BNQ_NAMES = {framework: ours for ours, framework in _FRAMEWORK_NAMES.items()}
_OUTPUTS = ("f32", "f16", "bf16")
FILE_DTYPES = f"one of {', '.join(_FRAMEWORK_NAMES)}"
"""What a file holds, for messages."""


@cache
def name_of(dtype: Any) -> str | None:
    """bnq's name of a numpy or torch dtype, or None for one that bnq does not carry."""
    return _BNQ_NAMES.get(str(dtype).removeprefix("torch."))


def output_name(dtype: Any) -> str:
    """The name of a dtype that values can be dequantized to, from whatever the caller calls it by."""
    name = dtype if dtype in _OUTPUTS else _BNQ_NAMES.get(_spelled(dtype))
    if name in _OUTPUTS:
        return str(name)
    raise InvalidArgumentError(f"dtype: unknown (got {shown(dtype)}, need f32, f16 or bf16)")


def _spelled(dtype: Any) -> str:
    """Says "float32" for numpy.float32, torch.float32, numpy.dtype("float32") and "float32"."""
    if isinstance(dtype, type):
        return dtype.__name__
    return str(dtype).removeprefix("torch.")


@cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """numpy's dtype of this name; those that numpy lacks come from ml_dtypes."""
    framework_name = _FRAMEWORK_NAMES[name]
    if hasattr(np, framework_name):
        return np.dtype(framework_name)
    try:
        ml_dtypes = import_module("ml_dtypes")
    except ImportError as error:
        raise UnsupportedError(
            f"numpy: has no dtype {framework_name}; install ml_dtypes, or ask for another dtype or framework"
        ) from error
    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, framework_name))
    return dtype


def torch_dtype(torch: Any, name: str) -> Any:
    """torch's dtype of this name."""
    return getattr(torch, _FRAMEWORK_NAMES[name])
