"""MatMulNBits of ONNX Runtime over the bytes of u2_ort, u4_ort and u8_ort computes with the values that bnq means."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import bnq

# layout, scheme, bits
LAYOUTS = [
    ("u2_ort", "ternary:group(32)", 2),
    ("u4_ort", "ternary:group(64)", 4),
    ("u4_ort", "4:group(32)", 4),
    ("u8_ort", "ternary:group(128)", 8),
    ("u8_ort", "8:group(64)", 8),
]
TARGET = bnq.Target("onnxruntime")
TAKEN = [*map(str, TARGET.schemes), *(f"{rule}:group({n})" for rule in ("8", "4", "ternary") for n in (16, 256))]
LAYOUTS += [(f"u{bits}_ort", scheme, bits) for bits in (2, 4, 8) for scheme in TAKEN
            if str(TARGET.layout(scheme, (16, 256))) == f"u{bits}_ort"]  # fmt: skip
"""The last with the smallest and the largest groups."""
SHAPES = [(16, 256), (5, 200), (33, 32)]
"""Also depths that no block divides, and rows in odd numbers."""


def product(p: Any, x: np.ndarray, bits: int, level: int) -> np.ndarray:
    """x Wᵀ by one node; `level` 1 keeps the activations in float32, 4 quantizes them to int8 by block."""
    n, k = p.shape
    block = int(str(p.scheme).split("group(")[1].rstrip(")"))
    node = helper.make_node(
        "MatMulNBits", ["x", "w", "scales"], ["y"], domain="com.microsoft",
        K=k, N=n, bits=bits, block_size=block, accuracy_level=level,
    )  # fmt: skip
    data, scales = np.asarray(p.data), np.asarray(p.scales)
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (len(x), n))],
        [
            helper.make_tensor("w", TensorProto.UINT8, data.shape, data.tobytes(), raw=True),
            helper.make_tensor("scales", TensorProto.FLOAT, scales.shape, scales.tobytes(), raw=True),
        ],
    )
    domains = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def test_the_target_takes_each_scheme_in_one_layout() -> None:
    assert len(TAKEN) == 15
    assert {scheme for _, scheme, _ in LAYOUTS} >= set(TAKEN)


@pytest.mark.filterwarnings("ignore:int2")
@pytest.mark.parametrize("level", [1, 4])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("layout", "scheme", "bits"), LAYOUTS)
def test_the_product_is_that_of_our_values(
    layout: str, scheme: str, bits: int, shape: tuple[int, int], level: int
) -> None:
    """Within K + 2 roundings of float32, and with level 4 half a step of each block of activations besides."""
    rng = np.random.default_rng(bits)
    w = rng.standard_normal(shape).astype(np.float32)
    x = rng.standard_normal((3, shape[1])).astype(np.float32)
    p = bnq.pack(bnq.quantize(w, scheme), layout)
    values = bnq.unpack(p).dequantize().astype(np.float64)
    sums = np.abs(x).astype(np.float64) @ np.abs(values).T
    bound = (shape[1] + 2) * 2.0**-24 * sums
    if level == 4:
        steps = np.abs(x).max(axis=1, keepdims=True) / 127  # no block's step is larger
        bound = 2 * bound + (0.5 + 1e-5) * steps * np.abs(values).sum(axis=1)
    assert (np.abs(product(p, x, bits, level) - x.astype(np.float64) @ values.T) <= bound).all()


def test_the_bytes_of_another_width_are_noticed() -> None:
    """The comparison can fail: one code that differs is seen."""
    p = bnq.pack(bnq.quantize(np.eye(16, 256, dtype=np.float32), "4:group(32)"), "u4_ort")
    x = np.ones((1, 256), np.float32)
    data = np.asarray(p.data).copy()
    data[0, 0, 0] ^= 1
    other = bnq.PackedTensor.from_parts(data, p.scales, layout="u4_ort", scheme=p.scheme, shape=p.shape)
    assert not np.allclose(product(p, x, 4, 1), product(other, x, 4, 1))
