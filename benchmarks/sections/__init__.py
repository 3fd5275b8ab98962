"""What is measured, section by section. Each runs in a process of its own, with one number of threads."""

from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """How long, and on how many threads."""

    threads: int
    rounds: int
    quick: bool
