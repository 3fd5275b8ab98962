"""What bnq raises. Every message has one grammar: *where: what (got X, need Y); what to do*."""

from typing import ClassVar

__all__ = [
    "BadContentError",
    "Error",
    "ExistsError",
    "Interrupted",
    "InvalidArgumentError",
    "IoError",
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


class ExistsError(Error, FileExistsError):
    """The output is there already, and replacing it was not asked for."""

    kind = "exists"


class Interrupted(Error):  # noqa: N818 - named as KeyboardInterrupt is, which Ctrl-C raises
    """A progress callback returned False. Nothing was left behind."""

    kind = "interrupted"
