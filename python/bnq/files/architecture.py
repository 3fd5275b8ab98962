"""Which layers of a model are linear, where its architecture is not on bnq's list: its own code is asked."""

from importlib.util import find_spec

from .. import _core

__all__ = ["modules_of_unlisted"]


def modules_of_unlisted(folder: str) -> _core.ModelModules | None:
    """None of an architecture that bnq knows, and where nobody can be asked: without torch and transformers."""
    name = _core.unlisted_architecture(folder)
    if not name or find_spec("torch") is None or find_spec("transformers") is None:
        return None
    from ..torch.architecture import modules_of  # noqa: PLC0415 - only where somebody is to be asked

    return modules_of(folder, name)
