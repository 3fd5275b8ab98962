"""Quantization of neural network layers for BitNet: ``from layers.bitnet_quantizer import BitNetQuantizer``.

The class is :class:`bnq.BitNetQuantizer`. There is no ``layers/__init__.py``, so that a folder ``layers`` of your own
stays importable beside this one.
"""

from bnq import BitNetQuantizer

__all__ = ["BitNetQuantizer"]
