"""What bnq raises. Every message has one grammar: *where: what (got X, need Y); what to do*."""

import errno
import os
from typing import Any, ClassVar

__all__ = [
    "BadContentError",
    "Error",
    "ExistsError",
    "Interrupted",
    "InvalidArgumentError",
    "IoError",
    "MissingFileError",
    "UnsupportedError",
]


class Error(Exception):
    """The base of everything that bnq raises on purpose. A failed call leaves its outputs untouched, files absent."""

    kind: ClassVar[str] = "error"
    """The name of this kind of error in C++ and in the command line's documentation."""


class InvalidArgumentError(Error, ValueError):
    """You asked for something that has no meaning; the message lists what is allowed."""

    kind = "invalid_argument"


class UnsupportedError(Error, NotImplementedError):
    """Meaningful, but this function or layout cannot hold it; the message names what can."""

    kind = "unsupported"


class BadContentError(Error, ValueError):
    """The data is broken, lies about itself, or holds NaN or infinity."""

    kind = "bad_content"


class IoError(Error, OSError):
    """The system failed: a file is missing, no space, no permission."""

    kind = "io"


class MissingFileError(IoError, FileNotFoundError):
    """A file that was to be read is not there, or no folder for one that was to be written.

    ``errno``, ``strerror`` and ``filename`` are set, as `open` would; other errors leave them None.
    """

    def __init__(self, message: str, filename: str | None = None) -> None:
        super().__init__(message)
        self.errno = errno.ENOENT
        self.strerror = os.strerror(errno.ENOENT)
        self.filename = filename

    def __str__(self) -> str:
        return str(self.args[0])  # OSError would put one together from errno and filename

    def __reduce__(self) -> tuple[Any, ...]:
        return MissingFileError, (self.args[0], self.filename)


class ExistsError(Error, FileExistsError):
    """The output is there already, and replacing it was not asked for."""

    kind = "exists"


class Interrupted(Error):  # noqa: N818 - named as KeyboardInterrupt is, which Ctrl-C raises
    """A progress callback returned False. Nothing was left behind."""

    kind = "interrupted"
