"""Files: those that bnq writes for itself, and model files as other programs read them."""

from .checkpoint import dequantize_checkpoint, inspect, plan_checkpoint, quantize_checkpoint, verify
from .checkpoint_results import (
    ConvertResult,
    DequantizeResult,
    InspectedTensor,
    Inspection,
    Plan,
    PlannedFile,
    PlannedTensor,
    RuleHits,
    Verification,
    VerifiedTensor,
)
from .convert import convert
from .tensor_file import load, save

__all__ = [
    "ConvertResult",
    "DequantizeResult",
    "InspectedTensor",
    "Inspection",
    "Plan",
    "PlannedFile",
    "PlannedTensor",
    "RuleHits",
    "Verification",
    "VerifiedTensor",
    "convert",
    "dequantize_checkpoint",
    "inspect",
    "load",
    "plan_checkpoint",
    "quantize_checkpoint",
    "save",
    "verify",
]
