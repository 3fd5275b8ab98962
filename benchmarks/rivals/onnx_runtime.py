"""ONNX Runtime: dynamic int8, and 2-bit MatMulNBits. Models are made here, node by node."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from timing import Call

from .protocol import Bound, Layers, Weight, missing_modules

if TYPE_CHECKING:
    import onnx

BLOCK = 128
SPINNING_SECONDS = 0.05
"""Its threads spin for a while after a call, which is good for its next call and takes a core from everyone else."""


class Sessions:
    """One session with one layer, and one with all of them on the same tokens."""

    def __init__(self, models: list[bytes], copies: int) -> None:
        import onnxruntime as ort  # noqa: PLC0415, only where it is installed

        options = ort.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._single, self._ring = (
            ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]) for model in models
        )
        self._copies = copies

    def bind(self, x: torch.Tensor, *, ring: bool) -> Bound:
        tokens = {"x": x.numpy()}
        session = self._ring if ring else self._single
        products = self._copies if ring else 1
        return Bound(
            Call(lambda: session.run(None, tokens), products, settle_seconds=SPINNING_SECONDS),
            lambda: torch.from_numpy(session.run(["y0"], tokens)[0]),
        )


class OnnxModel:
    """Layers y0, y1, … of the same tokens x."""

    def __init__(self, weight: Weight) -> None:
        self._out, self._in = weight.shape
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper  # noqa: PLC0415

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        from onnx import helper  # noqa: PLC0415

        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))

    def serialized(self, copies: int) -> bytes:
        from onnx import TensorProto, helper  # noqa: PLC0415

        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["tokens", self._in])
        ys = [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, ["tokens", self._out]) for i in range(copies)]
        graph = helper.make_graph(self.nodes, "layers", [x], ys, self.constants)
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


class OnnxRuntime:
    """What both have in common: a model of one layer, and a model of all copies.

    Every copy's output features come in another order: equal weights would share one packed copy in the runtime, and
    their bytes would come from the cache.
    """

    name: str
    bytes_per_weight: float

    def missing(self) -> str | None:
        return missing_modules("onnxruntime", "onnx")

    def make(self, weight: Weight, copies: int) -> Layers:
        return Sessions([self.model(weight, n).serialized(n) for n in (1, copies)], copies)

    def model(self, weight: Weight, copies: int) -> OnnxModel:
        raise NotImplementedError


class OnnxInt8(OnnxRuntime):
    """DynamicQuantizeLinear + MatMulInteger, which the runtime joins into one operation with its scales."""

    name = "ORT int8"
    bytes_per_weight = 1.0

    def model(self, weight: Weight, copies: int) -> OnnxModel:
        model = OnnxModel(weight)
        codes = np.ascontiguousarray(weight.codes.T * np.int8(127))
        scale = model.constant("w_scale", np.full(weight.shape[0], weight.scale / 127, np.float32))
        zero = model.constant("w_zero", np.zeros((), np.int8))
        for i in range(copies):
            w = model.constant(f"w{i}", np.roll(codes, i, axis=1))
            model.node("DynamicQuantizeLinear", ["x"], [f"q{i}", f"s{i}", f"z{i}"])
            model.node("MatMulInteger", [f"q{i}", w, f"z{i}", zero], [f"i{i}"])
            model.node("Cast", [f"i{i}"], [f"f{i}"], to=1)
            model.node("Mul", [f"s{i}", scale], [f"c{i}"])
            model.node("Mul", [f"f{i}", f"c{i}"], [f"y{i}"])
        return model


class OnnxTwoBit(OnnxRuntime):
    """MatMulNBits, bits=2, block 128, accuracy_level 4: tokens are quantized to int8 inside."""

    name = "ORT 2-bit"
    bytes_per_weight = 0.25 + 4 / BLOCK

    def model(self, weight: Weight, copies: int) -> OnnxModel:
        out_features, in_features = weight.shape
        model = OnnxModel(weight)
        fields = (weight.codes + 2).astype(np.uint8).reshape(out_features, -1, 4)  # 2 stands for zero
        packed = fields[..., 0] | fields[..., 1] << 2 | fields[..., 2] << 4 | fields[..., 3] << 6
        blocks = packed.reshape(out_features, in_features // BLOCK, BLOCK // 4)
        scales = np.full(out_features * (in_features // BLOCK), weight.scale, np.float32)
        sizes = {"K": in_features, "N": out_features, "bits": 2, "block_size": BLOCK, "accuracy_level": 4}
        for i in range(copies):
            w, s = model.constant(f"w{i}", np.roll(blocks, i, axis=0)), model.constant(f"s{i}", scales)
            model.node("MatMulNBits", ["x", w, s], [f"y{i}"], domain="com.microsoft", **sizes)
        return model
