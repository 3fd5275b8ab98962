"""Modules whose code reads the weight of a layer inside them, beside calling it or instead."""

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from torch import nn

__all__ = ["not_only_called"]

_BY_TORCH = (("MultiheadAttention", "out_proj"), ("LinearCrossEntropyLoss", "linear"))  # the second since torch 2.13
_BUILDS = ("__init__", "tie_weights", "_tie_weights", "init_weights", "_init_weights", "reset_parameters")
_ANY = "*"  # any child, as "self.layers[i]" is

_Path = tuple[str, ...]
"""Names of children, one inside the other."""


def not_only_called(model: nn.Module) -> dict[int, str]:
    """By id the layers whose weights the module around them reads, with the reason to leave them as they are.

    A successor's weight has another type and form, or is never asked for a product. T5 casts to the type of one; Mamba
    multiplies by another itself.
    """
    found: dict[int, str] = {}
    for module in model.modules():
        for owner, child in _BY_TORCH:
            if isinstance(module, getattr(nn, owner, ())):
                found[id(getattr(module, child))] = f"nn.{owner} reads the weight and does not call the layer"
        kind: Any = type(module)
        for layer in (layer for path in _read_by(kind) for layer in _children(module, path)):
            if layer is not module:
                found[id(layer)] = f"{type(module).__name__} reads its weight beside calling it"
    return found


@functools.cache
def _read_by(kind: type[nn.Module]) -> frozenset[_Path]:
    """Paths to children whose weight the class reads when called. Torch's own classes are known."""
    classes = [cls for cls in kind.__mro__ if cls.__module__.partition(".")[0] not in ("torch", "builtins")]
    methods = [method for cls in classes for name, method in vars(cls).items() if name not in _BUILDS]
    return frozenset(path for method in methods for path in _read_in(_function_of(method)))


def _function_of(member: Any) -> Any:
    """What runs when a member of a class is called or, of a property, asked for."""
    if isinstance(member, property):
        return member.fget
    return member.func if isinstance(member, functools.cached_property) else member


def _read_in(method: object) -> frozenset[_Path]:
    if not inspect.isfunction(method):
        return frozenset()
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    except (OSError, TypeError, SyntaxError):  # made at run time, or its file is gone, or it is a part of a line
        return frozenset()
    reads = _Reads()
    reads.visit(tree)
    return frozenset(reads.found)


class _Reads(ast.NodeVisitor):
    """Collects "self.PATH.weight" of a method, also where the child has a name of its own: "for x in self.PATH"."""

    def __init__(self) -> None:
        self.found: set[_Path] = set()
        self.names: dict[str, _Path] = {"self": ()}

    def visit(self, node: ast.AST) -> None:
        for loop in getattr(node, "generators", ()):  # of a comprehension: before what is computed in it
            self._loop(loop.target, loop.iter)
        super().visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        is_device = node.attr == "device" and isinstance(node.value, ast.Attribute) and node.value.attr == "weight"
        if is_device:  # which a packed layer has too
            return
        path = self._path(node.value)
        if node.attr == "weight" and isinstance(node.ctx, ast.Load) and path:
            self.found.add(path)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._name(target, self._path(node.value))
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self._loop(node.target, node.iter)
        self.generic_visit(node)

    def _name(self, target: ast.expr, path: _Path | None) -> None:
        if isinstance(target, ast.Name) and path is not None:
            self.names[target.id] = path

    def _loop(self, target: ast.expr, over: ast.expr) -> None:
        """Of each child; what enumerate, zip, reversed and values() of them give is taken for them too."""
        calls = over.args if isinstance(over, ast.Call) else []
        method = over.func.value if isinstance(over, ast.Call) and isinstance(over.func, ast.Attribute) else over
        targets = target.elts if isinstance(target, ast.Tuple) else [target]
        for source in (method, *calls):
            path = self._path(source)
            for name in targets:
                self._name(name, None if path is None else (*path, _ANY))

    def _path(self, node: ast.expr) -> _Path | None:
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute | ast.Subscript):
            path = self._path(node.value)
            return None if path is None else (*path, node.attr if isinstance(node, ast.Attribute) else _ANY)
        return None


def _children(module: nn.Module, path: _Path) -> Iterator[nn.Module]:
    if not path:
        yield module
        return
    name, *rest = path
    for key, child in module._modules.items():
        if child is not None and name in (key, _ANY):
            yield from _children(child, tuple(rest))
