"""Low-bit checkpoints from one layout to another."""

from collections.abc import Callable
from os import PathLike
from typing import TypeAlias

from .. import _core
from ..arguments import checked_path, flag, progress_callback, scale_convention, tells_missing_files
from ..layout import Layout
from .checkpoint_results import ConvertResult

__all__ = ["convert"]

Path: TypeAlias = str | PathLike[str]
Progress: TypeAlias = Callable[[int, int], bool | None]


def convert(
    src: Path,
    dst: Path,
    to: str | Layout,
    *,
    strict: bool = False,
    scales: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> ConvertResult:
    """Puts every low-bit tensor of a checkpoint into another layout, in one file; codes stay as they are.

    Nothing is quantized: float tensors are copied, but for matrices that hold -a, 0, +a alone, which become exact codes.

    Args:
        src: a file or model folder that bnq quantized, or a folder of compressed-tensors or transformers' BitNet.
        dst: the safetensors file to write.
        to: the layout of every low-bit tensor, such as ``"i32_ct"``.
        strict: an error when the layout would round a scale.
        scales: as for :func:`bnq.load`.
        force: replace an existing output.
        progress: as for :func:`bnq.quantize_checkpoint`.

    Raises:
        UnsupportedError: the layout cannot hold a tensor, or has no place in such a file; with `strict`, it would round
            a scale.
        BadContentError: a broken file, or nothing in it is low-bit.
        ExistsError: `dst` is there, and `force` was not given.
        MissingFileError: no such file, or no folder for `dst`.
        IoError: no space, no permission.
        Interrupted: `progress` returned False.
    """
    options = _core.ConvertOptions(Layout(to)._handle, scale_convention(scales, "convert"))
    options.strict = flag(strict, "convert strict")
    options.replace = flag(force, "convert force")
    call = progress_callback(progress, "convert progress")
    source, target = checked_path(src, "convert src"), checked_path(dst, "convert dst")
    with tells_missing_files(source, output=target):
        return ConvertResult._of(_core.convert_checkpoint(source, target, options, call))
