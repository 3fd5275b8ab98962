"""Does a folder's config.json compute what the model does? Tensors of the same shapes do not say it."""

import json
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from torch import nn

from ...arguments import shown
from ...errors import InvalidArgumentError

_SHOWN = 5
_HEADS = ("num_attention_heads", "num_key_value_heads", "head_dim", "n_head", "num_heads", "n_heads")
_HEADS_OF_TWO = ("encoder_attention_heads", "decoder_attention_heads")
_NORMS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "layernorm_epsilon")
_ACTIVATIONS = ("hidden_act", "hidden_activation", "activation_function", "mlp_hidden_act", "activation")
_T5 = ("feed_forward_proj", "relative_attention_max_distance")
_ROPE = ("rope_theta", "rope_local_base_freq", "partial_rotary_factor", "rotary_pct", "rotary_emb_base")
_ATTENTION = (
    "sliding_window",
    "layer_types",
    "attn_logit_softcapping",
    "query_pre_attn_scalar",
    "attention_multiplier",
    "scale_attn_weights",
    "scale_attn_by_inverse_layer_idx",
)
_WHERE = ("use_parallel_residual", "apply_residual_connection_post_layernorm", "scale_embedding")
_FACTORS = ("final_logit_softcapping", "embedding_multiplier", "residual_multiplier", "logits_scaling")
_EXPERTS = ("num_experts_per_tok", "norm_topk_prob", "routed_scaling_factor")
_DECIDING = frozenset(
    ("model_type", *_WHERE, *_HEADS, *_HEADS_OF_TWO, *_NORMS, *_ACTIVATIONS, *_T5, *_ROPE, *_ATTENTION, *_FACTORS)
).union(_EXPERTS)
_DECIDING_WHOLE = ("rope_parameters", "rope_scaling")  # dicts, each key of which decides


def require_same_config(model: nn.Module, path: str | PathLike[str]) -> None:
    """Raises InvalidArgumentError where a folder's config.json computes something else from tensors of these shapes.

    Only keys of which both know a value are compared. Folders and models without a config are not looked at.
    """
    own, stored = _as_dict(getattr(model, "config", None)), _config_in(path)
    if not own or not stored:
        return
    if own.get("model_type") == stored.get("model_type"):
        stored = _as_read_by(type(getattr(model, "config", None)), stored)
    found = [f"{key} {shown(there)}, need {shown(here)}" for key, there, here in _differing(stored, own)]
    if found:
        raise InvalidArgumentError(
            f"load_: the folder's config.json is of another model (got {listed(found)} as in the model's config); make "
            "the model from the folder's config; nothing was changed"
        )


def listed(names: list[str]) -> str:
    """The first few, for a sentence."""
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _as_dict(config: Any) -> Mapping[str, Any]:
    to_dict = getattr(config, "to_dict", None)
    held = to_dict() if callable(to_dict) else config
    return held if isinstance(held, Mapping) else getattr(held, "__dict__", {})


def _config_in(path: str | PathLike[str]) -> Mapping[str, Any]:
    """Empty where there is none, or none that can be read: what loads the folder has the words for that."""
    try:
        read = json.loads((Path(path) / "config.json").read_bytes())
    except (OSError, TypeError, ValueError):
        return {}
    return read if isinstance(read, Mapping) else {}


def _as_read_by(kind: Any, stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same keys with the names and values that the class gives them, where it knows them."""
    from_dict = getattr(kind, "from_dict", None)  # transformers' configs have it
    try:
        return _given(_as_dict(from_dict(dict(stored))), stored) if callable(from_dict) else stored
    except Exception:  # noqa: BLE001 - of another program's class, which may not know this folder
        return stored


def _given(read: Mapping[str, Any], stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without the defaults of what `stored` says nothing about."""
    has_rope = any(key in stored for key in (*_ROPE, *_DECIDING_WHOLE))
    parts = {
        key: _given(value, stored[key])
        for key, value in read.items()
        if isinstance(value, Mapping) and isinstance(stored.get(key), Mapping) and key not in _DECIDING_WHOLE
    }
    return {
        key: parts.get(key, value)
        for key, value in read.items()
        if key in stored or (key in _DECIDING_WHOLE and has_rope)
    }


def _differing(stored: Mapping[str, Any], own: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Path of a key, its value in the folder and in the model, also in configs of parts."""
    for key, there in stored.items():
        here, name = own.get(key), f"{path}{key}"
        decides = key in _DECIDING or any(part in _DECIDING_WHOLE for part in path.split("."))
        if isinstance(there, Mapping) and isinstance(here, Mapping):
            yield from _differing(there, here, f"{name}.")
        elif decides and there is not None and here is not None and there != here:
            yield name, there, here
