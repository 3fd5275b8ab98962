"""Low-bit checkpoints from one layout to another."""

import warnings
from collections.abc import Callable, Sequence
from os import PathLike
from typing import TypeAlias

from .. import _core
from ..arguments import checked_path, flag, progress_callback, scale_convention, tells_missing_files, text
from ..arguments import gguf_types as checked_types
from ..layout import Layout
from ..target import Target
from .checkpoint_results import ConvertResult

__all__ = ["convert"]

Path: TypeAlias = str | PathLike[str]
Progress: TypeAlias = Callable[[int, int], bool | None]


def convert(
    src: Path,
    dst: Path,
    to: str | Layout | None = None,
    *,
    target: str | Target | None = None,
    strict: bool = False,
    scales: str | None = None,
    gguf_types: str | Sequence[str] | None = None,
    keep_names: bool = False,
    pre_tokenizer: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> ConvertResult:
    """Puts every low-bit tensor of a checkpoint into another layout, in one file; codes stay as they are.

    Nothing is quantized: float tensors are copied, but for matrices that hold -a, 0, +a alone, which become exact
    codes.

    Args:
        src: a file or model folder that bnq quantized, a GGUF file, or a folder of compressed-tensors or transformers'
            BitNet.
        dst: the file to write: GGUF where its name ends in ``.gguf``, of a model folder or another GGUF file; else
            safetensors, which of a GGUF file gets Hugging Face's names and order of rows.
        to: the layout of every low-bit tensor, such as ``"i32_ct"``. Given, or else `target`.
        target: the program that is to read the file, such as ``"llama.cpp"``: its best layout that holds every tensor
            is taken, and the result's notes say what it does otherwise.
        strict: an error when the layout would round a scale.
        scales: as for :func:`bnq.load`.
        gguf_types: as for :func:`bnq.load`.
        keep_names: of a GGUF file: keep its names, and its order of rows.
        pre_tokenizer: for a GGUF file: ``tokenizer.ggml.pre``; None: what the tokenizer's own pattern tells.
        force: replace an existing output.
        progress: as for :func:`bnq.quantize_checkpoint`.

    Returns:
        What was done. Its warnings are also given in Python's way.

    Raises:
        InvalidArgumentError: not one of `to` and `target` is given, or there is none of the name.
        UnsupportedError: the target reads no such file, or no one layout of it holds every tensor; the layout cannot
            hold a tensor, or has no place in such a file; GGUF cannot express it; with `strict`, it would round a
            scale.
        BadContentError: a broken file, or nothing in it is low-bit.
        ExistsError: `dst` is there, and `force` was not given.
        MissingFileError: no such file, or no folder for `dst`.
        IoError: no space, no permission.
        Interrupted: `progress` returned False.
    """
    options = _core.ConvertOptions(
        None if to is None else Layout(to)._handle,
        None if target is None else Target(target)._handle,
        scale_convention(scales, "convert"),
    )
    options.gguf_types = checked_types(gguf_types, "convert")
    options.keep_names = flag(keep_names, "convert keep_names")
    options.pre_tokenizer = "" if pre_tokenizer is None else text(pre_tokenizer, "convert pre_tokenizer", "a name")
    options.strict = flag(strict, "convert strict")
    options.replace = flag(force, "convert force")
    call = progress_callback(progress, "convert progress")
    source, output = checked_path(src, "convert src"), checked_path(dst, "convert dst")
    with tells_missing_files(source, output=output):
        done = ConvertResult._of(_core.convert_checkpoint(source, output, options, call))
    for warning in done.warnings:
        warnings.warn(warning, UserWarning, stacklevel=2)
    return done
