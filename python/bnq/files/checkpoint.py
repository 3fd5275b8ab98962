"""Whole checkpoints: a safetensors file or model folder into another, in the memory of its largest tensor."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, TypeAlias

from .. import _core
from .._arrays import output_name
from ..arguments import (
    checked_path,
    count,
    flag,
    number,
    progress_callback,
    scale_convention,
    shown,
    tells_missing_files,
    text,
)
from ..arguments import gguf_types as checked_types
from ..errors import InvalidArgumentError
from ..scheme import Scheme, SchemeLike
from ..target import Target, target_name
from .architecture import modules_of_unlisted
from .checkpoint_results import DequantizeResult, Inspection, Plan, Verification

__all__ = [
    "dequantize_checkpoint",
    "inspect",
    "plan_checkpoint",
    "quantize_checkpoint",
    "verify",
]

Path: TypeAlias = str | PathLike[str]
Rules: TypeAlias = Mapping[str, SchemeLike | None] | Iterable[str | tuple[str, SchemeLike | None]]
Progress: TypeAlias = Callable[[int, int], bool | None]
"""Called between tensors with the bytes of input done so far and in all; returns False to stop."""


def plan_checkpoint(
    src: Path,
    scheme: SchemeLike = 8,
    *,
    rules: Rules | None = None,
    embeddings: SchemeLike | None = None,
    head: SchemeLike | None = None,
    target: str | Target | None = None,
    plan: Path | None = None,
    plan_out: Path | None = None,
    shard_bytes: int = 5_000_000_000,
    strict: bool = False,
) -> Plan:
    """What :func:`bnq.quantize_checkpoint` would do, from the header alone: reads no tensor, writes `plan_out` only.

    Takes and raises what it does before it starts; the plan's warnings are in the plan.
    """
    options = _options(scheme, rules, embeddings, head)
    options.target = target_name(target)
    options.shard_bytes = count(shard_bytes, "plan_checkpoint shard_bytes")
    options.plan = "" if plan is None else checked_path(plan, "plan_checkpoint plan")
    options.plan_out = "" if plan_out is None else checked_path(plan_out, "plan_checkpoint plan_out")
    options.strict = flag(strict, "plan_checkpoint strict")
    source = checked_path(src, "plan_checkpoint src")
    with tells_missing_files(source, *([] if plan is None else [options.plan])):
        options.modules = modules_of_unlisted(source)
        return Plan._of(_core.plan_checkpoint(source, options))


def quantize_checkpoint(
    src: Path,
    dst: Path,
    scheme: SchemeLike = 8,
    *,
    rules: Rules | None = None,
    embeddings: SchemeLike | None = None,
    head: SchemeLike | None = None,
    target: str | Target | None = None,
    plan: Path | None = None,
    plan_out: Path | None = None,
    shard_bytes: int = 5_000_000_000,
    strict: bool = False,
    force: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Quantizes a safetensors file into another, or a Hugging Face model folder into another.

    Args:
        src: the input: a file, or a folder with model.safetensors or shards and their index. f64 and integer tensors
            are copied, tokenizer and other files of a folder too. Of an architecture that bnq does not know
            transformers, where it is installed, is asked which layers are linear.
        dst: the output; it appears under its name only when whole.
        scheme: for linear weights that no rule names.
        rules: scheme by pattern of tensor names (``*``, ``?``, ``[…]``), ``"keep"`` or None to copy; the last pattern
            that matches wins. A dict, or a list of pairs or of texts ``"PATTERN=SCHEME"``.
        embeddings: scheme for embedding tables; None keeps them.
        head: scheme for the output head; None keeps it.
        target: the program that is to run the result, such as ``"vllm"``: what it cannot load or compute is refused
            before any work, and the plan's notes say what it does otherwise.
        plan: a saved plan, which decides for every tensor; `scheme` is not used then, and `rules`,
            `embeddings` and `head` are not given.
        plan_out: write the plan to this file, as JSON, before any work.
        shard_bytes: of a folder: a shard holds one tensor, or up to so many bytes.
        strict: errors, not warnings: a rule that names nothing, a folder that plain transformers will not load, a layer
            that has to stay float.
        force: replace an existing output; a folder only if bnq wrote it.
        resume: go on with a folder whose last run was cut off: finished shards are kept, now and if this run ends
            early.
        progress: called with the bytes of input done and in all; returns False to stop.

    Returns:
        The plan that was carried out. Its warnings are also given in Python's way.

    Raises:
        InvalidArgumentError: unknown scheme or target, `src` and `dst` are one file, a rule that names f64 or integer
            tensors only.
        UnsupportedError: the target cannot load or compute it; the message names the first tensor.
        BadContentError: a broken file, NaN or infinity, or packed already.
        ExistsError: `dst` is there, and `force` was not given.
        MissingFileError: no such file, or no folder for `dst`.
        IoError: no space, no permission.
        Interrupted: `progress` returned False. What it raises comes through; no file is left in either case.
    """
    options = _options(scheme, rules, embeddings, head)
    options.target = target_name(target)
    options.shard_bytes = count(shard_bytes, "quantize_checkpoint shard_bytes")
    options.plan = "" if plan is None else checked_path(plan, "quantize_checkpoint plan")
    options.plan_out = "" if plan_out is None else checked_path(plan_out, "quantize_checkpoint plan_out")
    options.strict = flag(strict, "quantize_checkpoint strict")
    options.replace = flag(force, "quantize_checkpoint force")
    options.resume = flag(resume, "quantize_checkpoint resume")
    call = progress_callback(progress, "quantize_checkpoint progress")
    source, output = checked_path(src, "quantize_checkpoint src"), checked_path(dst, "quantize_checkpoint dst")
    with tells_missing_files(source, *([] if plan is None else [options.plan]), output=output):
        options.modules = modules_of_unlisted(source)
        done = Plan._of(_core.quantize_checkpoint(source, output, options, call))
    for warning in done.warnings:
        warnings.warn(warning, UserWarning, stacklevel=2)
    return done


def dequantize_checkpoint(
    src: Path,
    dst: Path,
    *,
    dtype: Any = None,
    scales: str | None = None,
    gguf_types: str | Sequence[str] | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> DequantizeResult:
    """Turns every low-bit tensor back into floats, and copies the rest.

    Args:
        src: a file or model folder that bnq quantized, a GGUF file, or a folder of compressed-tensors or transformers'
            BitNet.
        dst: the output.
        dtype: ``"f32"``, ``"f16"`` or ``"bf16"``; None gives each tensor its original dtype.
        scales: as for :func:`bnq.load`.
        gguf_types: as for :func:`bnq.load`.
        force: replace an existing output.
        progress: as for :func:`bnq.quantize_checkpoint`.

    Raises what :func:`bnq.quantize_checkpoint` does; BadContentError also when nothing in the file is low-bit.
    """
    name = None if dtype is None else output_name(dtype)
    options = _core.DequantizeOptions(
        name, flag(force, "dequantize_checkpoint force"), scale_convention(scales, "dequantize_checkpoint")
    )
    options.gguf_types = checked_types(gguf_types, "dequantize_checkpoint")
    call = progress_callback(progress, "dequantize_checkpoint progress")
    source, target = checked_path(src, "dequantize_checkpoint src"), checked_path(dst, "dequantize_checkpoint dst")
    with tells_missing_files(source, output=target):
        return DequantizeResult._of(_core.dequantize_checkpoint(source, target, options, call))


def inspect(
    path: Path,
    *,
    scales: str | None = None,
    gguf_types: str | Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Inspection:
    """What each tensor of a file or model folder looks like. NaN is reported, not refused.

    Takes `scales` and `gguf_types` as :func:`bnq.load` does, and `progress` as :func:`bnq.quantize_checkpoint`.

    Raises:
        MissingFileError: there is no such file.
        IoError: it cannot be read.
        BadContentError: it is broken.
    """
    source = checked_path(path, "inspect path")
    convention = scale_convention(scales, "inspect")
    types = checked_types(gguf_types, "inspect")
    call = progress_callback(progress, "inspect progress")
    with tells_missing_files(source):
        return Inspection._of(_core.inspect(source, convention, types, call))


def verify(
    original: Path,
    quantized: Path,
    *,
    min_sqnr_db: float | None = None,
    min_cosine: float | None = None,
    html: Path | None = None,
    scales: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Verification:
    """Recomputes every tensor of `quantized` from `original` and compares.

    Args:
        original: the file that was quantized.
        quantized: what came out.
        min_sqnr_db: gate for each quantized tensor; a missed one shows in the result and raises nothing.
        min_cosine: the same.
        html: also write one self-contained page with pictures to this file.
        scales: as for :func:`bnq.load`.
        force: replace that page if it exists.
        progress: as for :func:`bnq.quantize_checkpoint`.

    Raises:
        MissingFileError: there is no such file.
        IoError: a file cannot be read.
        BadContentError: a file is broken or holds NaN, or the original is itself quantized. A tensor whose shape or
            dtype does not fit is a result: it is not reproduced.
        InvalidArgumentError: a gate is no number.
    """
    gates = _core.Gates(
        None if min_sqnr_db is None else number(min_sqnr_db, "verify min_sqnr_db"),
        None if min_cosine is None else number(min_cosine, "verify min_cosine"),
    )
    before, after = checked_path(original, "verify original"), checked_path(quantized, "verify quantized")
    page = None if html is None else checked_path(html, "verify html")
    replace = flag(force, "verify force")
    convention = scale_convention(scales, "verify")
    call = progress_callback(progress, "verify progress")
    with tells_missing_files(before, after, output=page):
        found = _core.verify(before, after, gates, convention, call)
        if page is not None:
            _core.save_html_report(page, before, after, found, replace)
    return Verification._of(found)


def _options(
    scheme: SchemeLike, rules: Rules | None, embeddings: SchemeLike | None, head: SchemeLike | None
) -> _core.QuantizeOptions:
    options = _core.QuantizeOptions()
    options.scheme = str(Scheme(scheme))
    options.embeddings = "" if embeddings is None else str(Scheme(embeddings))
    options.head = "" if head is None else str(Scheme(head))
    for pattern, rule in _pairs({} if rules is None else rules):
        keeps = rule is None or (isinstance(rule, str) and rule == "keep")
        options.add_rule(text(pattern, "rule", "a pattern of names"), "keep" if keeps else str(Scheme(rule)))
    return options


def _pairs(rules: Any) -> Iterator[tuple[Any, Any]]:
    """Pattern and scheme of each rule, in order."""
    need = "need {pattern: scheme}, or a list of (pattern, scheme) or 'PATTERN=SCHEME'"
    if isinstance(rules, str | bytes) or not isinstance(rules, Iterable):
        raise InvalidArgumentError(f"rules: not a dict or a list (got {shown(rules)}, {need})")
    for rule in rules.items() if isinstance(rules, Mapping) else rules:
        pair = rule
        if isinstance(rule, str):  # split as the command line does: a pattern may hold a =, a scheme does not
            pair = rule.rpartition("=")[::2] if "=" in rule else ()
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InvalidArgumentError(f"rules: one is incomplete (got {shown(rule)}, {need})")
        yield pair[0], pair[1]
