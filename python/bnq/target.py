"""Targets: the programs that are to run a model, what they take, and what they compute otherwise than bnq."""

from typing import Any

from . import _core
from .arguments import shape_of, text
from .layout import Layout
from .scheme import Scheme, SchemeLike

__all__ = ["Target", "targets"]


class Target:
    """A program that is to run the model. Immutable, hashable, equal by value.

    Args:
        name: ``"transformers"``, ``"vllm"``, ``"llama.cpp"``, ``"bitnet.cpp"`` or ``"onnxruntime"``, or a Target.

    Raises:
        InvalidArgumentError: there is no such target; the message lists what there is.
    """

    __slots__ = ("_handle",)
    _handle: _core.Target

    def __init__(self, name: "str | Target") -> None:
        self._handle = name._handle if isinstance(name, Target) else _core.Target.parse(_name_of(name))

    @classmethod
    def _wrap(cls, handle: _core.Target) -> "Target":
        target = cls.__new__(cls)
        target._handle = handle
        return target

    @property
    def name(self) -> str:
        """``"llama.cpp"``, …"""
        return self._handle.name

    @property
    def about(self) -> str:
        """One line for people."""
        return self._handle.about

    @property
    def reads(self) -> str:
        """What it loads: a model ``"folder"``, a ``"gguf"`` file, or ``"operands"`` of a graph of your own."""
        return self._handle.reads

    @property
    def schemes(self) -> list[Scheme]:
        """For each rule that it takes, a scheme of it: with the default granularity, or the first that is taken."""
        return [Scheme._wrap(handle) for handle in self._handle.schemes]

    def refusal(self, scheme: SchemeLike, shape: tuple[int, ...] | None = None) -> str:
        """Why it cannot load or compute such a tensor; empty when it can. Without `shape`: one that suits."""
        if shape is None:
            return self._handle.refusal(Scheme(scheme)._handle)
        return self._handle.refusal(Scheme(scheme)._handle, shape_of(shape, "refusal"))

    def layout(self, scheme: SchemeLike, shape: tuple[int, ...]) -> Layout | None:
        """The layout in which it takes such a tensor; None when it does not."""
        handle = self._handle.layout(Scheme(scheme)._handle, shape_of(shape, "layout"))
        return None if handle is None else Layout._wrap(handle)

    def differences(self, scheme: SchemeLike) -> list[str]:
        """What it does with such weights otherwise than bnq, and versions known to be wrong; for people."""
        return self._handle.differences(Scheme(scheme)._handle)

    def __str__(self) -> str:
        return self._handle.name

    def __repr__(self) -> str:
        return f"Target({self._handle.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Target) and self._handle.name == other._handle.name

    def __hash__(self) -> int:
        return hash(self._handle.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return Target, (self._handle.name,)


def targets() -> list[Target]:
    """Every target."""
    return [Target._wrap(handle) for handle in _core.Target.all()]


def target_name(target: Any) -> str:
    """Of what callers give; empty for None."""
    return "" if target is None else Target(target).name


def _name_of(target: Any) -> str:
    return text(target, "target", f"one of {', '.join(map(str, targets()))}")
