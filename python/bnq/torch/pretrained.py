"""What `save_pretrained` of transformers writes for a model with packed layers: what plain transformers loads."""

import json
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion
from transformers.quantizers.base import HfQuantizer

from .. import _core
from ..errors import UnsupportedError
from ..scheme import Scheme
from .architecture import modules_in
from .bit_linear import BitLinear
from .ops import layout_of
from .packed_linear import PackedLinear

__all__ = ["PackedQuantizer", "adopt", "names_in_files"]

_NAMES = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}


def adopt(module: nn.Module) -> None:
    """Has a model of transformers asked us when it is saved; any other module is left as it is."""
    if isinstance(module, PreTrainedModel):
        model: Any = module
        model.hf_quantizer = PackedQuantizer()


def names_in_files(model: nn.Module, names: Iterable[str]) -> dict[str, str]:
    """By the name under which `save_pretrained` stores a tensor its own name, "" for a part of a fused parameter.

    Empty for other modules, and where transformers' rules do not fit the model.
    """
    if not isinstance(model, PreTrainedModel):
        return {}
    own = model.state_dict()
    shapes = {name: torch.empty_like(own[name], device="meta") for name in names}
    known = {id(shape): name for name, shape in shapes.items()}
    try:
        written = revert_weight_conversion(model, dict(shapes))
    except Exception:  # noqa: BLE001 - whatever another program's rules raise; names are then the model's
        return {}
    return {name: known.get(id(shape), "") for name, shape in written.items()}


class PackedQuantizer(HfQuantizer):
    """Transformers' own hook for models whose weights are not what their modules hold."""

    is_trainable = False

    def __init__(self) -> None:
        """Nothing to remember: the model is looked at when it is saved."""

    def is_serializable(self) -> bool:
        """Yes; what has no form is refused with its reason when the form is chosen."""
        return True

    def get_state_dict_and_metadata(self, model: Any) -> tuple[dict[str, Tensor] | None, dict[str, str]]:
        """The tensors to write; sets the config's ``quantization_config``, which is written next.

        Raises:
            UnsupportedError: no client has a form for this model; the message says why.
        """
        layers = {name: module for name, module in model.named_modules() if isinstance(module, PackedLinear)}
        if not layers:
            model.config.quantization_config = None
            return None, {}
        form = _form_of(model, layers)
        state = {key: tensor for key, tensor in model.state_dict().items() if key.rpartition(".")[0] not in layers}
        for name, layer in layers.items():
            state |= {f"{name}.{key}": tensor for key, tensor in _stored(layer, form, model.dtype).items()}
        _forget_client(model)
        config = json.loads(form.quantization_config)
        _require_names(model, state, layers, all_names=config["quant_method"] == "compressed-tensors")
        _require_converted(model)
        model.config.quantization_config = config
        return state, {}

    def dequantize(self, model: Any, dtype: torch.dtype | None = None) -> Any:  # noqa: ARG002  transformers names it
        """What ``model.dequantize()`` calls.

        Raises:
            UnsupportedError: always; a float layer's place and hooks are no longer known.
        """
        layers = sum(isinstance(module, PackedLinear) for module in model.modules())
        raise UnsupportedError(
            f"dequantize: a model is not made float again in place (got {type(model).__name__} with {layers} packed "
            "layers, need the float model); load it anew, or use bnq.dequantize_checkpoint on what save_pretrained "
            "writes, or dequantize() of a layer for its weights; nothing was changed"
        )


def _form_of(model: Any, layers: dict[str, PackedLinear]) -> _core.ClientForm:
    dtype = _NAMES.get(model.dtype, "u8")
    config = model.config.to_dict() | {"architectures": [type(model).__name__], "quantization_config": None}
    config["dtype"] = str(model.dtype).removeprefix("torch.")
    tensors = [
        _core.ModelTensor(key, tensor.shape, None, _NAMES.get(tensor.dtype, "u8"))
        for key, tensor in model.state_dict().items()
        if key.rpartition(".")[0] not in layers
    ]
    for name, layer in layers.items():
        shape = layer.out_features, layer.in_features
        tensors.append(_core.ModelTensor(f"{name}.weight", shape, _scheme_there(layer)._handle, dtype))
        if layer.bias is not None:
            tensors.append(_core.ModelTensor(f"{name}.bias", layer.bias.shape, None, dtype))
    form = _core.client_form(json.dumps(config, default=str), tensors, modules_in(model))
    if form.why_bnq_only:
        raise UnsupportedError(
            f"save_pretrained: no folder that transformers loads holds this model ({form.why_bnq_only}); save its "
            "state_dict, or quantize the float folder with bnq.quantize_checkpoint and use bnq.torch.load_"
        )
    return form


def _scheme_there(layer: PackedLinear) -> Scheme:
    """A client asks for codes and scales, not for the rule that made them: another program's are stored alike."""
    rule, _, granularity = str(layer.scheme).partition(":")
    return Scheme(f"int8-absmax:{granularity}") if rule == "int8-given" else layer.scheme


def _stored(layer: PackedLinear, form: _core.ClientForm, dtype: torch.dtype) -> dict[str, Tensor]:
    """A layer's tensors in its client's form: the layout's bytes under the layout's names."""
    shape = layer.out_features, layer.in_features
    scales = 1.0 / layer.scales if form.inverse_scales else layer.scales
    layout, stored = layout_of(layer.scheme, shape).name, {"weight_scale": scales}
    if layout == "i32_ct":
        stored["weight_packed"] = layer.weight.view(torch.int32)
        stored["weight_shape"] = torch.tensor(shape)
    else:
        stored["weight"] = layer.weight.view(torch.int8) if layout == "i8" else layer.weight
    if layer.bias is not None:
        stored["bias"] = layer.bias.to(dtype)
    return stored


def _forget_client(model: Any) -> None:
    """Of a model that was loaded low-bit: transformers would write its weights as it read them, and cannot."""
    conversions = getattr(model, "_weight_conversions", None) or []
    if conversions:
        is_clients = [any(hasattr(op, "hf_quantizer") for op in getattr(c, "operations", [])) for c in conversions]
        model._weight_conversions = [c for c, drop in zip(conversions, is_clients, strict=True) if not drop]


def _require_converted(model: nn.Module) -> None:
    """The client would compute with the float weights that a BitLinear trains."""
    for name, module in model.named_modules():
        if isinstance(module, BitLinear):
            raise UnsupportedError(
                f"save_pretrained: beside packed layers {name} is a BitLinear, whose float weights no client would "
                "quantize; convert_ the model first"
            )


def _require_names(model: Any, state: dict[str, Tensor], layers: dict[str, PackedLinear], *, all_names: bool) -> None:
    """transformers renames and fuses tensors of some models as it writes them, and its clients know nothing of that.

    With compressed-tensors it cannot fuse what is in floats either, such as the experts of Mixtral, as it reads them.
    """
    written = revert_weight_conversion(model, dict(state))
    for key in state:
        if (all_names or key.rpartition(".")[0] in layers) and key not in written:
            raise UnsupportedError(
                f"save_pretrained: transformers stores {key} under another name, which no client of packed weights "
                "knows; save its state_dict"
            )
