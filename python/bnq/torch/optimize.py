"""Models that transformers loaded already low-bit, made to run as bnq runs them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..arguments import shown
from ..errors import BadContentError, InvalidArgumentError, UnsupportedError
from ..layout import PackedTensor, unpack
from ..quantized_tensor import QuantizedTensor, quantize_as
from ..scheme import Scheme, SchemeLike
from .coverage import Coverage
from .layers import Found, find_layers, first_kept, head_of, is_linear
from .memory import gives_memory_back
from .model import Chosen, Made, pack_all, swap_all
from .ops import on_cpu
from .packed_linear import PackedLinear
from .swap import naming

__all__ = ["optimize"]

_BITNET = "transformers.integrations.bitnet"


@gives_memory_back
def optimize(model: nn.Module, *, head: SchemeLike | None = None) -> Coverage:
    """Swaps the low-bit layers of a model that transformers loaded for :class:`PackedLinear`, in place.

    Known are transformers' ``BitLinear`` and ``AutoBitLinear``, and the int8 layers of compressed-tensors (W8A8 by
    token, while still compressed). Codes and scales stay; what differs is the arithmetic between them: tokens are
    quantized as BitNet b1.58 does, in float32, where transformers rounds in the model's dtype, and where
    compressed-tensors divides by 127.5 (docs/formats/folder.rst has by how much outputs differ).

    A layer with an RMSNorm inside becomes an ``nn.Sequential`` of it and PackedLinear. Hooks on a layer move to its
    successor.

    Args:
        model: as ``from_pretrained`` gave it. Changed only if all layers can be.
        head: also quantize the output head by this scheme; it is no longer tied to the embeddings then.

    Returns:
        What was done.

    Raises:
        InvalidArgumentError: the model has no such layer, or no float head where `head` is given, or `model` is no
            model or itself such a layer.
        BadContentError: weights that are not the integers which the layer's class says.
        UnsupportedError: layers on a device that computes other bits, or a form that bnq does not read.
    """
    layers = find_layers(model, lambda m: _reader_of(m) is not None, "optimize", "optimize(nn.Sequential(layer))")
    if not layers:
        raise InvalidArgumentError(
            "optimize: the model has no low-bit layer that bnq knows (need BitLinear or AutoBitLinear of transformers, "
            f"or int8 layers of compressed-tensors); quantize_ makes float layers low-bit{first_kept(model)}"
        )
    chosen = _chosen_head(model, head)
    made = [_made(layer, read) for layer in layers if (read := _reader_of(layer.module))]
    made += [Made(layer, packed) for (layer, _), packed in zip(chosen, pack_all(chosen, "optimize"), strict=True)]
    return swap_all(model, made, {})


_Read = Callable[[Any], tuple[QuantizedTensor, Tensor | None]]


def _reader_of(module: Any) -> _Read | None:
    kind, own = type(module), module._parameters
    if kind.__module__ == _BITNET:
        is_computed = isinstance(module, nn.Linear) and own.get("weight") is None  # as weight_norm does it
        return None if is_computed else _READERS.get(kind.__name__)
    has_scheme = getattr(getattr(module, "quantization_scheme", None), "weights", None) is not None
    return _read_compressed if has_scheme and isinstance(module, nn.Linear) and "weight_scale" in own else None


def _read_bit_linear(layer: Any) -> tuple[QuantizedTensor, Tensor | None]:
    """Packed codes; weight_scale is the reciprocal of the scale."""
    scale = 1.0 / on_cpu(layer.weight_scale.detach()).float().reshape(1)
    shape = layer.out_features, layer.in_features
    p = PackedTensor.from_parts(on_cpu(layer.weight), scale, layout="u2_hf", scheme="ternary", shape=shape, dtype="f32")
    return unpack(p), layer.bias


def _read_auto_bit_linear(layer: Any) -> tuple[QuantizedTensor, Tensor | None]:
    """Codes as floats, or float weights when online. The bias is added before the scale is multiplied."""
    weight = on_cpu(layer.weight.detach())
    if layer.online_quant:
        return quantize_as(weight, Scheme("ternary"), "optimize"), layer.bias
    codes = weight.to(torch.int8)
    if not torch.equal(codes.to(weight.dtype), weight) or codes.abs().max() > 1:
        raise BadContentError(
            "weights of an offline AutoBitLinear are not -1, 0, +1: they were not packed codes, or transformers 5.0 to "
            "5.12 loaded them, which do it wrongly (need 5.13 or later)"
        )
    scale = on_cpu(layer.weight_scale.detach()).float().reshape(1)
    q = QuantizedTensor.from_parts(codes, scale, scheme="ternary", dtype="f32")
    return q, None if layer.bias is None else on_cpu(layer.bias.detach()).float() * scale


def _read_compressed(layer: Any) -> tuple[QuantizedTensor, Tensor | None]:
    scheme, weight = layer.quantization_scheme, getattr(layer, "weight", layer.weight_scale)
    tokens = scheme.input_activations
    is_w8a8 = tokens is not None and tokens.num_bits == 8 and tokens.strategy == "token" and tokens.dynamic
    if not is_w8a8 or weight.dtype != torch.int8 or not scheme.weights.symmetric:
        raise UnsupportedError(
            "a layer of compressed-tensors that is not int8 with int8 tokens, or no longer compressed (got weights in "
            f"{weight.dtype}); load the folder anew and call optimize before the first forward pass"
        )
    scales = on_cpu(layer.weight_scale.detach()).float()
    name = "int8-given:tensor" if scales.numel() == 1 and weight.shape[0] != 1 else "int8-given:row"
    return QuantizedTensor.from_parts(on_cpu(weight.detach()), scales, scheme=name, dtype="f32"), layer.bias


_READERS: Mapping[str, _Read] = {"BitLinear": _read_bit_linear, "AutoBitLinear": _read_auto_bit_linear}


def _made(layer: Found, read: _Read) -> Made:
    with naming("optimize", layer.names[0]):
        if any(tensor.is_meta for tensor in (*layer.module.parameters(), *layer.module.buffers())):
            raise UnsupportedError("it has no weights (got a tensor on the meta device, need the CPU); load them first")
        packed = PackedLinear.from_quantized(*read(layer.module))
    return Made(layer, packed.to(_device_of(layer.module)), getattr(layer.module, "rms_norm", None))


def _device_of(module: nn.Module) -> torch.device:
    return next(tensor.device for tensor in (*module.parameters(), *module.buffers()))


def _chosen_head(model: nn.Module, scheme: SchemeLike | None) -> list[Chosen]:
    if scheme is None:
        return []
    head = head_of(model)
    found = find_layers(
        model, lambda module: module is head and is_linear(module), "optimize", "quantize_ on its model"
    )
    if not found:
        raise InvalidArgumentError(
            f"optimize: the model has no float output head (got head={shown(scheme)}); leave head out"
        )
    return [Chosen(found[0], Scheme(scheme))]
