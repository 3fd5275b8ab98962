"""What went in comes back: framework, dtype, shape; and the numbers are the same in all of them."""

import copy
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import bnq

DTYPES = {"f32": (np.float32, torch.float32), "f16": (np.float16, torch.float16),
          "bf16": (ml_dtypes.bfloat16, torch.bfloat16)}  # fmt: skip


def bits(array: object) -> bytes:
    """The bytes of an array of any of the frameworks."""
    if isinstance(array, torch.Tensor):
        return array.detach().contiguous().view(torch.uint8).numpy().tobytes()
    return np.asarray(array).tobytes()


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("scheme", ["8", "4", "ternary", "binary"])
def test_numpy_and_torch_give_the_same_numbers(name: str, scheme: str, weights: np.ndarray) -> None:
    numpy_dtype, torch_dtype = DTYPES[name]
    array, tensor = weights.astype(numpy_dtype), torch.from_numpy(weights).to(torch_dtype)
    a, t = bnq.quantize(array, scheme), bnq.quantize(tensor, scheme)
    assert a == t
    assert (a.dtype, t.dtype) == (name, name)
    assert (type(t.codes), t.codes.dtype, t.scales.dtype) == (torch.Tensor, torch.int8, torch.float32)
    assert np.array_equal(a.codes, t.codes.numpy())
    assert np.array_equal(a.scales, t.scales.numpy())
    assert (a.dequantize().dtype, t.dequantize().dtype) == (numpy_dtype, torch_dtype)
    assert bits(a.dequantize()) == bits(t.dequantize())
    assert t.dequantize().shape == tensor.shape
    assert bits(bnq.Linear(a)(array)) == bits(bnq.Linear(t)(tensor))
    assert bits(bnq.pack(a).data) == bits(bnq.pack(t).data)


def test_torch_dequantizes_to_its_own_dtypes(weights: np.ndarray) -> None:
    q = bnq.quantize(torch.from_numpy(weights), 8)
    assert q.dequantize(torch.bfloat16).dtype == torch.bfloat16
    assert bits(q.dequantize(torch.bfloat16)) == bits(q.dequantize("bf16")) == bits(q.dequantize("bfloat16"))


def test_jax(weights: np.ndarray) -> None:
    for dtype in (jnp.float32, jnp.float16, jnp.bfloat16):
        x = jnp.asarray(weights).astype(dtype)
        q = bnq.quantize(x, "4")
        assert q.framework == "jax.numpy"
        assert q == bnq.quantize(np.asarray(x), "4")
        for array in (q.codes, q.scales, q.dequantize(), bnq.pack(q).data, bnq.Linear(q)(x)):
            assert isinstance(array, jax.Array)
        assert q.dequantize().dtype == dtype
        assert bits(q.dequantize()) == bits(bnq.quantize(np.asarray(x), "4").dequantize())
        assert isinstance(pickle.loads(pickle.dumps(q)).dequantize(), jax.Array)
    with pytest.raises(bnq.UnsupportedError, match="traced"):
        jax.jit(lambda x: bnq.quantize(x, 8).dequantize())(jnp.ones(3))


def test_torch_survives_pickle(weights: np.ndarray) -> None:
    q = bnq.quantize(torch.from_numpy(weights), "ternary")
    for other in (pickle.loads(pickle.dumps(q)), copy.deepcopy(q)):
        assert other == q
        assert isinstance(other.dequantize(), torch.Tensor)
    p = bnq.pack(q)
    again = pickle.loads(pickle.dumps(p))
    assert torch.equal(again.data, p.data)
    assert isinstance(again.scales, torch.Tensor)


def test_from_parts_keeps_the_framework(weights: np.ndarray) -> None:
    q = bnq.quantize(torch.from_numpy(weights), 8)
    again = bnq.QuantizedTensor.from_parts(q.codes, q.scales, scheme=8)
    assert again == q
    assert isinstance(again.codes, torch.Tensor)


def test_numpy_views_are_read_only_and_shared(weights: np.ndarray) -> None:
    q = bnq.quantize(weights, 8)
    p = bnq.pack(q)
    for get in (lambda: q.codes, lambda: q.scales, lambda: p.data, lambda: p.scales):
        assert not get().flags.writeable
        assert np.shares_memory(get(), get())
        with pytest.raises(ValueError, match="read-only"):
            get()[:] = 0


def test_torch_views_are_shared(weights: np.ndarray) -> None:
    q = bnq.quantize(torch.from_numpy(weights), 8)
    p = bnq.pack(q)
    for get in (lambda: q.codes, lambda: q.scales, lambda: p.data, lambda: p.scales):
        assert get().data_ptr() == get().data_ptr()
    q.codes.clone().zero_()
    assert q.codes.any()


def test_results_are_ordinary_arrays(weights: np.ndarray) -> None:
    q = bnq.quantize(weights, 8)
    values = q.dequantize()
    values[:] = 0
    assert q.dequantize().any()
    t = bnq.quantize(torch.from_numpy(weights), 8).dequantize()
    assert not t.requires_grad
    t.requires_grad_().sum().backward()


BFLOAT16_WITHOUT_ML_DTYPES = """
import sys
sys.modules["ml_dtypes"] = None
import numpy as np, bnq
q = bnq.QuantizedTensor.from_parts(np.ones((2, 4), np.int8), np.ones((2, 1), np.float32), scheme=8, dtype="bf16")
assert q.dequantize("f32").tolist() == [[1.0] * 4] * 2
try:
    q.dequantize()
except bnq.UnsupportedError as error:
    print(error)
"""


def test_bfloat16_without_ml_dtypes_is_refused_with_a_cure() -> None:
    out = subprocess.run([sys.executable, "-c", BFLOAT16_WITHOUT_ML_DTYPES], check=True, capture_output=True, text=True)
    assert out.stdout.startswith("numpy: has no dtype bfloat16; install ml_dtypes")
    assert out.stderr == ""


@pytest.mark.parametrize("name", ["tensorfow", "os", "", "json"])
def test_unknown_frameworks_are_refused(name: str, tmp_path: object) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match="need numpy, torch or jax"):
        bnq.load(f"{tmp_path}/x", framework=name)
