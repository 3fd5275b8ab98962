"""torch's operators of bnq: `operators` says what they are, `parts` how the core runs, `formulas` what others run."""

from .exact import require_exact
from .operators import fake_quantize, packed_linear, refuse_script, require_no_tangent, require_one_set
from .parts import FLOATS, Parts, is_elsewhere, layout_of, linear_of, on_cpu, packed

__all__ = [
    "FLOATS",
    "Parts",
    "fake_quantize",
    "is_elsewhere",
    "layout_of",
    "linear_of",
    "on_cpu",
    "packed",
    "packed_linear",
    "refuse_script",
    "require_exact",
    "require_no_tangent",
    "require_one_set",
]
