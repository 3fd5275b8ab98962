"""bnq: float tensors, layers and checkpoints to BitNet's low-bit integers and back, exactly, on any CPU.

>>> import bnq, numpy as np
>>> q = bnq.quantize(np.ones((2, 4), np.float32), "ternary")
>>> q.dequantize().tolist()
[[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
"""

from ._core import version as _version
from .errors import (
    BadContentError,
    Error,
    ExistsError,
    Interrupted,
    InvalidArgumentError,
    IoError,
    MissingFileError,
    UnsupportedError,
)
from .files import (
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
    convert,
    dequantize_checkpoint,
    inspect,
    load,
    plan_checkpoint,
    quantize_checkpoint,
    save,
    verify,
)
from .layout import Layout, PackedTensor, layouts, pack, unpack
from .linear import Linear
from .machine import CpuInfo, Roofs, cpu_info, measure_roofs, num_threads, set_num_threads
from .quantized_tensor import QuantizedTensor, dequantize, quantize, quantize_activations
from .quantizer import BitNetQuantizer
from .report import Report, report
from .scheme import Scheme, schemes
from .target import Target, targets

__version__ = _version()

__all__ = [
    "BadContentError",
    "BitNetQuantizer",
    "ConvertResult",
    "CpuInfo",
    "DequantizeResult",
    "Error",
    "ExistsError",
    "InspectedTensor",
    "Inspection",
    "Interrupted",
    "InvalidArgumentError",
    "IoError",
    "Layout",
    "Linear",
    "MissingFileError",
    "PackedTensor",
    "Plan",
    "PlannedFile",
    "PlannedTensor",
    "QuantizedTensor",
    "Report",
    "Roofs",
    "RuleHits",
    "Scheme",
    "Target",
    "UnsupportedError",
    "Verification",
    "VerifiedTensor",
    "__version__",
    "convert",
    "cpu_info",
    "dequantize",
    "dequantize_checkpoint",
    "inspect",
    "layouts",
    "load",
    "measure_roofs",
    "num_threads",
    "pack",
    "plan_checkpoint",
    "quantize",
    "quantize_activations",
    "quantize_checkpoint",
    "report",
    "save",
    "schemes",
    "set_num_threads",
    "targets",
    "unpack",
    "verify",
]

num_threads()  # a BNQ_NUM_THREADS that is no number is said now, not at the first large tensor

# Users meet these as bnq.X: in messages, in pickles, in documentation.
for _name in __all__:
    if hasattr(globals()[_name], "__module__"):
        globals()[_name].__module__ = "bnq"
