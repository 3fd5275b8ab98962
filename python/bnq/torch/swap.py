"""Which modules PackedLinear can stand for, and how it takes their place."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs")


class Found(NamedTuple):
    """A layer of the model that can be swapped."""

    names: list[str]
    """Every path that leads to it."""
    module: Any
    """With weight and bias."""
    weight: Tensor
    """[N, K], a view."""


def weight_of(module: Any) -> Tensor | None:
    """The weight as [N, K] of a layer that PackedLinear can stand for; None of any other."""
    kind = type(module)
    is_transposed = kind.__name__ == "Conv1D" and kind.__module__ == "transformers.pytorch_utils"
    if kind is not nn.Linear and not is_transposed:
        return None
    weight: Tensor = module.weight
    if type(weight) not in (nn.Parameter, Tensor) or "forward" in vars(module):
        return None
    return weight.detach().t() if is_transposed else weight.detach()


def linear_layers(model: nn.Module, weight_of: Callable[[Any], Tensor | None]) -> Iterator[Found]:
    """Those of which `weight_of` gives a weight, each once, with every path to it."""
    paths: dict[int, Found] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        weight = weight_of(module)
        if weight is not None:
            paths.setdefault(id(module), Found([], module, weight)).names.append(name)
    yield from paths.values()


def swap(model: nn.Module, names: list[str], made: nn.Module) -> None:
    """Puts `made` where these paths lead to. Hooks of the layer there move to it."""
    layer = model.get_submodule(names[0])
    for hooks in _HOOKS:
        getattr(made, hooks).update(getattr(layer, hooks))
    for name in names:
        parent_name, _, key = name.rpartition(".")
        parent = model.get_submodule(parent_name)
        setattr(parent, key, made)
        if isinstance(parent, nn.TransformerEncoderLayer):
            parent.activation_relu_or_gelu = 0  # its fast path would take the weights and leave the layer out


def nbytes_of(model: nn.Module) -> int:
    """Parameters and buffers, each memory once."""
    made = [t for t in (*model.parameters(), *model.buffers()) if not nn.parameter.is_lazy(t)]
    tensors = {t.data_ptr() or id(t): t.nbytes for t in made}
    return sum(tensors.values())
