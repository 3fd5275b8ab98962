"""What the checkpoint functions tell."""

from dataclasses import dataclass

from .. import _core
from ..layout import Layout
from ..report import Report
from ..scheme import Scheme

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
]


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """What will be done with one tensor, and why."""

    name: str
    """Its name in the file."""
    dtype: str
    """As stored in the input: "f32", "bf16", "i64", …"""
    shape: tuple[int, ...]
    """Its shape."""
    scheme: Scheme | None
    """None: copied as it is."""
    layout: Layout | None
    """Of the quantized form."""
    reason: str
    """"linear weight", "rule 'x=4'", "kept: norm", …"""
    bytes_in: int
    """In the input."""
    bytes_out: int
    """In the output, scales included."""


@dataclass(frozen=True, slots=True)
class RuleHits:
    """How many tensors a rule named."""

    rule: str
    """pattern=scheme"""
    hits: int
    """Number of tensors."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file of an output folder."""

    name: str
    """Below the folder."""
    what: str
    """"shard", "index", "config" or "copy"."""
    nbytes: int
    """Its size, exactly."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What quantizing a checkpoint does."""

    tensors: tuple[PlannedTensor, ...]
    """In the order of the input's bytes."""
    files: tuple[PlannedFile, ...]
    """Of an output folder; empty for a file."""
    target: str
    """The program that the plan was held against; empty: none."""
    target_layout: Layout | None
    """Of a target that reads GGUF: the layout that :func:`bnq.convert` will choose."""
    notes: tuple[str, ...]
    """What the target does otherwise than bnq; for people."""
    client: str
    """Of a folder: the form that plain transformers loads, such as "bitnet autobitlinear"; empty: bnq only."""
    rules: tuple[RuleHits, ...]
    """In the order given."""
    warnings: tuple[str, ...]
    """For people."""
    file_bytes_in: int
    """Size of the input."""
    file_bytes_out: int
    """Size of the output, exactly."""

    @classmethod
    def _of(cls, core: _core.Plan) -> "Plan":
        return cls(
            tensors=tuple(
                PlannedTensor(
                    t.name, t.dtype, t.shape, _scheme(t.scheme), _layout(t.layout), t.reason, t.bytes_in, t.bytes_out
                )
                for t in core.tensors
            ),
            files=tuple(PlannedFile(f.name, f.what, f.nbytes) for f in core.files),
            target=core.target,
            target_layout=_layout(core.target_layout),
            notes=tuple(core.notes),
            client=core.client,
            rules=tuple(RuleHits(r.rule, r.hits) for r in core.rules),
            warnings=tuple(core.warnings),
            file_bytes_in=core.file_bytes_in,
            file_bytes_out=core.file_bytes_out,
        )

    def __str__(self) -> str:
        lines = [
            f"{t.name}  {t.dtype} {list(t.shape)}  {t.scheme or 'copied'}  {t.bytes_in:,} -> {t.bytes_out:,} bytes  "
            f"({t.reason})"
            for t in self.tensors
        ]
        return "\n".join([*lines, f"file  {self.file_bytes_in:,} -> {self.file_bytes_out:,} bytes"])


@dataclass(frozen=True, slots=True)
class DequantizeResult:
    """What dequantizing a checkpoint did."""

    tensors: int
    """How many were dequantized; the others were copied."""
    saturated_values: int
    """Held at the largest finite number of the output dtype."""
    file_bytes_in: int
    """Size of the input."""
    file_bytes_out: int
    """Size of the output."""

    @classmethod
    def _of(cls, core: _core.DequantizeResult) -> "DequantizeResult":
        return cls(core.tensors, core.saturated_values, core.file_bytes_in, core.file_bytes_out)


@dataclass(frozen=True, slots=True)
class ConvertResult:
    """What converting a checkpoint did."""

    tensors: int
    """How many are in the new layout."""
    ternary_floats: int
    """How many of them were floats, of the values -a, 0, +a."""
    copied: int
    """Plain tensors."""
    scale_error: float
    """Largest relative error of a scale that the layout rounded; 0: every scale is exact."""
    worst_name: str
    """Whose it is."""
    layout: Layout | None
    """The new layout."""
    notes: tuple[str, ...]
    """What the target does otherwise than bnq; for people."""
    warnings: tuple[str, ...]
    """For people."""
    file_bytes_in: int
    """Size of the input."""
    file_bytes_out: int
    """Size of the output."""

    @classmethod
    def _of(cls, core: _core.ConvertResult) -> "ConvertResult":
        return cls(
            tensors=core.tensors,
            ternary_floats=core.ternary_floats,
            copied=core.copied,
            scale_error=core.scale_error,
            worst_name=core.worst_name,
            layout=_layout(core.layout),
            notes=tuple(core.notes),
            warnings=tuple(core.warnings),
            file_bytes_in=core.file_bytes_in,
            file_bytes_out=core.file_bytes_out,
        )


@dataclass(frozen=True, slots=True)
class InspectedTensor:
    """What one tensor of a file looks like."""

    name: str
    """Its name in the file."""
    dtype: str
    """As stored; of a quantized tensor the dtype it came from."""
    shape: tuple[int, ...]
    """Of a quantized tensor its logical shape."""
    nbytes: int
    """As stored, scales included."""
    scheme: Scheme | None
    """Of a quantized tensor."""
    layout: Layout | None
    """Of a quantized tensor."""
    minimum: float | None
    """Of the finite values of a float tensor."""
    maximum: float | None
    """Of the finite values of a float tensor."""
    zero_share: float | None
    """In [0, 1]."""
    nan_count: int
    """How many values are NaN."""
    inf_count: int
    """How many values are infinite."""
    all_zero: bool
    """Nothing but zeros."""
    already_ternary: bool
    """Only {-a, 0, +a} with one a > 0."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a file holds."""

    tensors: tuple[InspectedTensor, ...]
    """In the order of their bytes."""
    file_bytes: int
    """Size of the file."""
    written_by: str
    """Who quantized it: "bnq 0.1.0", "compressed-tensors pack-quantized"; empty for floats."""
    unread: str
    """Why bnq does not read that: `tensors` then are parts of quantized ones, and no values; else empty."""

    @classmethod
    def _of(cls, core: _core.Inspection) -> "Inspection":
        return cls(tuple(_inspected(t) for t in core.tensors), core.file_bytes, core.written_by, core.unread)


@dataclass(frozen=True, slots=True)
class VerifiedTensor:
    """One tensor against its original."""

    name: str
    """Its name in both files."""
    scheme: Scheme | None
    """None: a plain copy."""
    report: Report | None
    """Of a quantized tensor, against the original."""
    reproduced: bool
    """Quantizing the original again gives the stored codes and scales; a copy is equal."""
    gate_missed: bool
    """Below `min_sqnr_db` or `min_cosine`."""
    bytes_before: int
    """In the original file."""
    bytes_after: int
    """In the quantized file."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A quantized file against its original."""

    tensors: tuple[VerifiedTensor, ...]
    """Those in both files."""
    missing: tuple[str, ...]
    """In the original only."""
    extra: tuple[str, ...]
    """In the quantized file only."""
    file_bytes_before: int
    """Size of the original file."""
    file_bytes_after: int
    """Size of the quantized file."""
    worst_sqnr_db: float | None
    """Over quantized tensors; infinity when all are lossless."""
    median_sqnr_db: float | None
    """Over quantized tensors."""
    worst_name: str
    """Whose SQNR is the worst."""
    lossless: bool
    """Every tensor is."""
    reproduced: bool
    """Every tensor is, and none is missing or extra."""
    gates_met: bool
    """No tensor missed a gate."""
    written_by: str
    """Who quantized it: "bnq 0.1.0", "compressed-tensors pack-quantized"."""
    is_foreign: bool
    """Another program did: codes are compared, and need not be reproduced."""
    verdict: str
    """In plain words."""

    @classmethod
    def _of(cls, core: _core.Verification) -> "Verification":
        return cls(
            tensors=tuple(_verified(t) for t in core.tensors),
            missing=tuple(core.missing),
            extra=tuple(core.extra),
            file_bytes_before=core.file_bytes_before,
            file_bytes_after=core.file_bytes_after,
            worst_sqnr_db=core.worst_sqnr_db,
            median_sqnr_db=core.median_sqnr_db,
            worst_name=core.worst_name,
            lossless=core.lossless,
            reproduced=core.reproduced,
            gates_met=core.gates_met,
            written_by=core.written_by,
            is_foreign=core.is_foreign,
            verdict=core.verdict,
        )

    def __str__(self) -> str:
        return self.verdict


def _inspected(t: _core.InspectedTensor) -> InspectedTensor:
    return InspectedTensor(
        name=t.name,
        dtype=t.dtype,
        shape=t.shape,
        nbytes=t.nbytes,
        scheme=_scheme(t.scheme),
        layout=_layout(t.layout),
        minimum=t.minimum,
        maximum=t.maximum,
        zero_share=t.zero_share,
        nan_count=t.nan_count,
        inf_count=t.inf_count,
        all_zero=t.all_zero,
        already_ternary=t.already_ternary,
    )


def _verified(t: _core.VerifiedTensor) -> VerifiedTensor:
    return VerifiedTensor(
        name=t.name,
        scheme=_scheme(t.scheme),
        report=None if t.report is None else Report._of(t.report),
        reproduced=t.reproduced,
        gate_missed=t.gate_missed,
        bytes_before=t.bytes_before,
        bytes_after=t.bytes_after,
    )


def _scheme(core: _core.Scheme | None) -> Scheme | None:
    return None if core is None else Scheme._wrap(core)


def _layout(core: _core.Layout | None) -> Layout | None:
    return None if core is None else Layout._wrap(core)
