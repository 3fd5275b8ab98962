"""A quantized checkpoint into a float model."""

from .load import load_

__all__ = ["load_"]
