"""How another module takes a layer's place."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from ..errors import Error
from .layers import Found, set_on

_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_is_full_backward_hook",
)


def swap(model: nn.Module, layer: Found, made: nn.Module) -> None:
    """Puts `made` wherever the layer is, in its mode, with its hooks and the attributes that were set on it.

    Fails never: what can fail comes before. The hooks are the layer's very dicts, so that handles which the user has
    still remove them. Those of ``state_dict`` and ``load_state_dict`` stay behind: they are for keys that the layer has
    and `made` has not.
    """
    made.train(layer.module.training)
    for hooks in _HOOKS:
        setattr(made, hooks, getattr(layer.module, hooks))
    vars(made).update(set_on(layer.module))  # a hook may read them
    for name in layer.names:
        parent, _, key = name.rpartition(".")
        model.get_submodule(parent)._modules[key] = made  # by no __setattr__, which may have a mind of its own
        for above in _path_to(model, parent):
            _close_fast_path(above)
            _adopt(above)


@contextmanager
def naming(verb: str, name: str) -> Iterator[None]:
    """What bnq raises inside begins with the verb that the user called and the layer's path."""
    try:
        yield
    except Error as error:
        raise type(error)(f"{verb}: {name}: {error}; nothing was changed") from error


def _path_to(model: nn.Module, path: str) -> list[nn.Module]:
    """The model, and each module down to this one."""
    parts = path.split(".") if path else []
    return [model.get_submodule(".".join(parts[:count])) for count in range(len(parts) + 1)]


def _close_fast_path(module: nn.Module) -> None:
    """torch's transformer takes the weights of its layers and leaves the layers out, or feeds them nested tensors."""
    if isinstance(module, nn.TransformerEncoderLayer):
        module.activation_relu_or_gelu = 0
    if isinstance(module, nn.TransformerEncoder):
        module.use_nested_tensor = False


def _adopt(module: nn.Module) -> None:
    """A model of transformers: `save_pretrained` would write packed bytes as if they were weights."""
    if "transformers" in sys.modules:
        from .pretrained import adopt  # noqa: PLC0415 - it needs transformers

        adopt(module)
