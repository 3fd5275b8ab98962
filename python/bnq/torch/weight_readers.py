"""Modules whose code reads the weight of a layer inside them, beside calling it or instead, or holds it twice."""

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator
from types import CodeType
from typing import Any

from torch import nn

__all__ = ["not_only_called"]

_BY_TORCH = (("MultiheadAttention", "out_proj"), ("LinearCrossEntropyLoss", "linear"))  # the second since torch 2.13
_BUILDS = ("__init__", "tie_weights", "_tie_weights", "init_weights", "_init_weights", "reset_parameters")
_OF_MODULE = frozenset(vars(nn.Module()))
_ANY = "*"  # any child, as "self.layers[i]" is

_Path = tuple[str, ...]
"""Names of children, one inside the other."""


def not_only_called(model: nn.Module, *, hooks: bool = True) -> dict[int, str]:
    """By id the layers whose weights the module around them reads, or a hook, with the reason to leave them so.

    A successor's weight has another type and form, or is never asked for a product. T5 casts to the type of one; Mamba
    multiplies by another itself.
    """
    found: dict[int, str] = {}
    for module in model.modules():
        for owner, child in _BY_TORCH:
            if isinstance(module, getattr(nn, owner, ())):
                found[id(getattr(module, child))] = f"nn.{owner} reads the weight and does not call the layer"
        for name, layer in _held_beside(module):
            found[id(layer)] = f"{type(module).__name__}.{name} holds it too, and would go on with the float layer"
        kind: Any = type(module)
        for layer in (layer for path in _read_by(kind) for layer in _children(module, path)):
            if layer is not module:
                found[id(layer)] = f"{type(module).__name__} reads its weight beside calling it"
        for layer in (layer for path in (_read_by_hooks(module) if hooks else ()) for layer in _children(module, path)):
            found[id(layer)] = f"a hook on {'it' if layer is module else type(module).__name__} reads its weight"
    return found


def _held_beside(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Modules that a plain attribute holds, itself or in a list or dict, or a bound method of them; with its name."""
    for name, value in vars(module).items():
        if name in _OF_MODULE:
            continue
        held = (
            value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else (value,)
        )
        for item in held:
            owner = item.__self__ if inspect.ismethod(item) else item
            is_patch = owner is module and "forward" in vars(module)  # as another library remembers what it replaced
            if isinstance(owner, nn.Module) and not is_patch:
                yield name, owner


@functools.cache
def _read_by(kind: type[nn.Module]) -> frozenset[_Path]:
    """Paths to children whose weight the class reads when called. Torch's own classes are known."""
    classes = [cls for cls in kind.__mro__ if cls.__module__.partition(".")[0] not in ("torch", "builtins")]
    methods = [method for cls in classes for name, method in vars(cls).items() if name not in _BUILDS]
    return frozenset(path for method in methods for path in _read_in(_function_of(method)))


def _read_by_hooks(module: nn.Module) -> frozenset[_Path]:
    """Paths from the module that has the hooks; () is itself."""
    kinds = (module._forward_pre_hooks, module._forward_hooks, module._backward_pre_hooks, module._backward_hooks)
    return frozenset(path for hooks in kinds for hook in hooks.values() for path in _read_by_hook(hook))


def _read_by_hook(hook: Any) -> frozenset[_Path]:
    bound = 0
    while isinstance(hook, functools.partial):
        bound, hook = bound + len(hook.args), hook.func
    if not inspect.isfunction(hook):
        bound, hook = bound + 1, hook.__func__ if inspect.ismethod(hook) else type(hook).__call__
    code = getattr(hook, "__code__", None)
    if code is None or "weight" not in _names_in(code):
        return frozenset()
    return _read_in(hook, bound, unknown=frozenset([()]))


def _names_in(code: CodeType) -> set[str]:
    inner = [name for const in code.co_consts if isinstance(const, CodeType) for name in _names_in(const)]
    return {*code.co_names, *inner}


def _function_of(member: Any) -> Any:
    """What runs when a member of a class is called or, of a property, asked for."""
    if isinstance(member, property):
        return member.fget
    return member.func if isinstance(member, functools.cached_property) else member


def _read_in(method: object, position: int = 0, unknown: frozenset[_Path] = frozenset()) -> frozenset[_Path]:
    """Paths from the argument at this position; `unknown` of a function whose source is not to be had."""
    if not inspect.isfunction(method):
        return frozenset()
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    except (OSError, TypeError, SyntaxError):  # made at run time, or its file is gone, or it is a part of a line
        return unknown
    is_named = isinstance(tree.body[0], ast.FunctionDef | ast.AsyncFunctionDef)
    functions: list[Any] = tree.body[:1] if is_named else [node for node in ast.walk(tree) if type(node) is ast.Lambda]
    lists = [(*node.args.posonlyargs, *node.args.args) for node in functions]
    reads = _Reads({names[position].arg for names in lists if len(names) > position})
    reads.visit(tree)
    return frozenset(reads.found)


class _Reads(ast.NodeVisitor):
    """Collects "self.PATH.weight" of a method, also where the child has a name of its own: "for x in self.PATH"."""

    def __init__(self, owners: set[str]) -> None:
        self.found: set[_Path] = set()
        self.names: dict[str, _Path] = dict.fromkeys(owners, ())

    def visit(self, node: ast.AST) -> None:
        for loop in getattr(node, "generators", ()):  # of a comprehension: before what is computed in it
            self._loop(loop.target, loop.iter)
        super().visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        is_device = node.attr == "device" and isinstance(node.value, ast.Attribute) and node.value.attr == "weight"
        if is_device:  # which a packed layer has too
            return
        path = self._path(node.value)
        if node.attr == "weight" and isinstance(node.ctx, ast.Load) and path is not None:
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
