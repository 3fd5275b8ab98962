"""What comes in: strides, dtypes and devices that are read right, or refused with a cure."""

import warnings

import ml_dtypes
import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import bnq


def views(w: np.ndarray) -> dict[str, np.ndarray]:
    record = np.zeros(w.shape, [("tag", "i1"), ("w", w.dtype)])
    record["w"] = w
    frozen = w.copy()
    frozen.flags.writeable = False
    return {
        "slice": w[2:20:3, 5:],
        "reversed": w[::-1, ::-1],
        "reversed and skipped": w[::-2, 7::-3],
        "transposed": w.T,
        "fortran": np.asfortranarray(w),
        "broadcast": np.broadcast_to(w[:1], (5, w.shape[1])),
        "one element, everywhere": np.broadcast_to(w[0, 0], (3, 4)),
        "three axes": w.reshape(4, 6, -1).transpose(2, 0, 1),
        "field of a record": record["w"],
        "odd address": np.frombuffer(b"x" + w.tobytes(), np.uint8)[1:].view(w.dtype).reshape(w.shape),
        "read-only": frozen,
        "diagonal": np.lib.stride_tricks.as_strided(w, (8, 8), (w.strides[0], w.strides[0] + w.strides[1])),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("scheme", ["8", "4", "ternary", "binary"])
def test_strides_do_not_count(scheme: str, dtype: type, weights: np.ndarray) -> None:
    for name, view in views(weights.astype(dtype)).items():
        plain = np.array(view, order="C", copy=True)
        assert bnq.quantize(view, scheme) == bnq.quantize(plain, scheme), name
        assert bnq.quantize_activations(view) == bnq.quantize_activations(plain), name
        q = bnq.quantize(plain, scheme)
        assert bnq.report(view, q) == bnq.report(plain, q), name


def torch_views(w: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "slice": w[2:20:3, 5:],
        "transposed": w.T,
        "expanded": w[:1].expand(5, -1),
        "permuted": w.reshape(4, 6, -1).permute(2, 0, 1),
        "unfolded": w.unfold(1, 5, 2),
        "negated": torch.complex(w.float(), -w.float()).conj().imag.to(w.dtype) if w.dtype != torch.float32
        else torch.complex(w, -w).conj().imag,
        "parameter": torch.nn.Parameter(w),
        "wants gradients": w.clone().requires_grad_() * 2,
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_torch_views(dtype: torch.dtype, weights: np.ndarray) -> None:
    for name, view in torch_views(torch.from_numpy(weights).to(dtype)).items():
        plain = view.detach().resolve_neg().clone(memory_format=torch.contiguous_format)
        assert bnq.quantize(view, "4:group(3)") == bnq.quantize(plain, "4:group(3)"), name


def test_a_pending_negation_is_seen(weights: np.ndarray) -> None:
    w = torch.from_numpy(weights)
    negated = torch.complex(w, w).conj().imag
    assert negated.is_neg()
    assert torch.equal(bnq.quantize(negated, 8).codes, -bnq.quantize(w, 8).codes)


def test_scalars_are_0d() -> None:
    assert bnq.quantize(np.float32(-3), 8).codes.tolist() == -127
    assert bnq.quantize(torch.tensor(-3.0), 8).dequantize() == -3


def test_input_is_not_changed(weights: np.ndarray) -> None:
    before = weights.copy()
    bnq.quantize(weights, 4)
    bnq.Linear(bnq.quantize(weights, 4))(weights)
    assert np.array_equal(weights, before)


@pytest.mark.parametrize("dtype", ["f8", "i1", "i4", "i8", "u1", "?", "c8"])
def test_other_dtypes_are_refused(dtype: str) -> None:
    w = np.ones((2, 3), dtype)
    for values in (w, torch.from_numpy(w)):
        with pytest.raises(NotImplementedError, match=r"need f32, f16 or bf16.*; convert the tensor") as caught:
            bnq.quantize(values, 8)
        assert isinstance(caught.value, bnq.UnsupportedError)
        assert str(caught.value).startswith("quantize: ")


@pytest.mark.parametrize("values", [np.ones(2, "c16"), np.array(["a"]), np.array([None]), np.ones(2, np.longdouble)])
def test_dtypes_without_a_name_are_refused(values: np.ndarray) -> None:
    with pytest.raises(bnq.UnsupportedError, match="unknown dtype"):
        bnq.quantize(values, 8)


def test_foreign_byte_order_is_refused_with_its_cure(weights: np.ndarray) -> None:
    foreign = weights.astype(">f4")
    with pytest.raises(bnq.UnsupportedError, match=r"newbyteorder") as caught:
        bnq.quantize(foreign, 8)
    cure = str(caught.value).split("use ")[1]
    assert bnq.quantize(eval(cure, {"array": foreign}), 8) == bnq.quantize(weights, 8)


@pytest.mark.parametrize("values", [[1.0, 2.0], (1.0,), 1.0, "ab", None, object(), range(3), {"a": 1}])
def test_what_is_no_tensor_is_refused_with_a_cure(values: object) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match=r"numpy\.asarray\(values, numpy\.float32\)"):
        bnq.quantize(values, 8)


def test_masked_arrays_are_refused() -> None:
    with pytest.raises(bnq.UnsupportedError, match="filled"):
        bnq.quantize(np.ma.masked_array(np.float32([1, 2]), [False, True]), 8)


def test_other_devices_are_refused() -> None:
    with pytest.raises(bnq.UnsupportedError, match=r"on the CPU \(got a tensor on meta, need cpu\); load its values"):
        bnq.quantize(torch.empty(2, 2, device="meta"), 8)


def test_tensors_that_are_not_dense_are_refused() -> None:
    dense = torch.ones(2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that these are prototypes
        others = [
            dense.to_sparse(),
            dense.to_sparse_csr(),
            torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
            torch.quantize_per_tensor(dense, 0.1, 0, torch.qint8),
        ]
    for other in others:
        with pytest.raises(bnq.UnsupportedError, match="not a dense tensor"):
            bnq.quantize(other, 8)


def test_tensors_without_memory_are_refused() -> None:
    with FakeTensorMode(), pytest.raises(bnq.UnsupportedError, match="no memory of its own"):
        bnq.quantize(torch.empty(2, 2), 8)
    with pytest.raises(bnq.UnsupportedError, match="no memory of its own"):
        torch.func.vmap(lambda row: bnq.quantize(row, 8).dequantize())(torch.ones(2, 3))


class OnlyDLPack:
    """What an array of an unknown framework shows."""

    def __init__(self, array: np.ndarray, device: tuple[int, int] = (1, 0)) -> None:
        self._array, self._device = array, device

    def __dlpack__(self, **options: object) -> object:
        return self._array.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device


def test_any_framework_with_dlpack(weights: np.ndarray) -> None:
    q = bnq.quantize(OnlyDLPack(weights), 8)
    assert q == bnq.quantize(weights, 8)
    assert isinstance(q.dequantize(), np.ndarray)
    assert np.array_equal(bnq.Linear(q)(OnlyDLPack(weights)), bnq.Linear(q)(weights))
    with pytest.raises(bnq.UnsupportedError, match="on the CPU"):
        bnq.quantize(OnlyDLPack(weights, device=(2, 0)), 8)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named(bad: float, weights: np.ndarray) -> None:
    weights[3, 70] = bad
    weights[5, 1] = bad
    for values in (weights, torch.from_numpy(weights)):
        with pytest.raises(bnq.BadContentError, match=r"at \[3, 70\]"):
            bnq.quantize(values, "ternary")
