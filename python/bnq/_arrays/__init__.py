"""Tensors of all frameworks: how they come in (`borrow`), and how results go back (`frameworks`)."""

from .borrow import Array, borrow, borrow_packed, is_array
from .dtypes import FILE_DTYPES, name_of, output_name
from .frameworks import NUMPY, Framework, framework_called
from .plain_torch import PLAIN_TORCH

__all__ = [
    "FILE_DTYPES",
    "NUMPY",
    "PLAIN_TORCH",
    "Array",
    "Framework",
    "borrow",
    "borrow_packed",
    "framework_called",
    "is_array",
    "name_of",
    "output_name",
]
