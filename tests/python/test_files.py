"""save and load; the safetensors package is the foreign reader and writer."""

import errno
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch

import bnq

pytestmark = pytest.mark.filterwarnings("ignore:int2")
SCHEMES = ["8", "8:tensor", "7", "5", "4", "3:row", "2", "ternary", "ternary:row", "ternary:group(32)", "1", "1:row"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_every_scheme_comes_back(dtype: type, path: Path, weights: np.ndarray) -> None:
    saved = {f"layer.{s}.weight": bnq.quantize(weights.astype(dtype), s) for s in SCHEMES}
    bnq.save(path, saved)
    loaded = bnq.load(path)
    assert loaded.keys() == saved.keys()
    for name, q in saved.items():
        assert loaded[name] == q, name
        assert loaded[name].dequantize().dtype == dtype


@pytest.mark.parametrize("shape", [(), (3,), (0,), (0, 4), (4, 0), (2, 3, 8)])
@pytest.mark.parametrize("scheme", ["8", "4", "ternary", "binary"])
def test_every_shape_comes_back(scheme: str, shape: tuple[int, ...], path: Path) -> None:
    q = bnq.quantize(np.ones(shape, np.float32), scheme)
    bnq.save(path, {"w": q})
    assert bnq.load(path)["w"] == q


def test_packed_and_plain_tensors(path: Path, weights: np.ndarray) -> None:
    q = bnq.quantize(weights, "ternary")
    plain = {
        "float": weights,
        "transposed": weights.T,
        "half": weights.astype(np.float16),
        "brain": weights.astype(ml_dtypes.bfloat16),
        "double": weights.astype(np.float64),
        "integers": np.arange(7),
        "flags": np.array([True, False]),
        "scalar": np.float32(3),
        "empty": np.zeros((0, 3), np.float32),
        "eight": np.arange(4, dtype=np.float32).astype(ml_dtypes.float8_e4m3fn),
    }
    bnq.save(path, {"packed": bnq.pack(q), **plain})
    loaded = bnq.load(path)
    assert loaded.pop("packed") == q
    for name, array in plain.items():
        assert loaded[name].dtype == array.dtype, name
        assert loaded[name].shape == array.shape, name
        assert np.array_equal(loaded[name], array), name
    loaded["float"][:] = 0  # an array like any other


def test_frameworks(path: Path, weights: np.ndarray) -> None:
    tensor = torch.from_numpy(weights).to(torch.bfloat16)
    bnq.save(path, {"q": bnq.quantize(tensor, 8), "plain": torch.nn.Parameter(tensor), "view": tensor.T})
    loaded = bnq.load(path, framework="torch")
    assert torch.equal(loaded["plain"], tensor)
    assert torch.equal(loaded["view"], tensor.T)
    assert loaded["q"].dequantize().dtype == torch.bfloat16
    assert isinstance(loaded["q"].codes, torch.Tensor)
    assert isinstance(bnq.load(path, framework="jax")["plain"], jax.Array)
    assert bnq.load(path)["q"].framework == "numpy"


def test_a_foreign_reader_opens_it(path: Path, weights: np.ndarray) -> None:
    bnq.save(path, {"w8": bnq.quantize(weights, 8), "w4": bnq.quantize(weights, 4), "plain": weights})
    tensors = safetensors.numpy.load_file(path)
    assert np.array_equal(tensors["plain"], weights)
    q8, q4 = bnq.quantize(weights, 8), bnq.quantize(weights, 4)
    assert np.array_equal(tensors["w8"], q8.codes)
    assert np.array_equal(tensors["w8_scale"], q8.scales)
    assert np.array_equal(tensors["w4_packed"], bnq.pack(q4).data)
    assert tensors["w4_shape"].tolist() == [24, 96]
    with safetensors.safe_open(path, "numpy") as file:
        entry = json.loads(file.metadata()["bnq"])
    assert entry["tensors"]["w4"]["scheme"] == "int4-absmax:group(64)"


def test_foreign_files_are_plain_arrays(path: Path, weights: np.ndarray) -> None:
    safetensors.torch.save_file({"w": torch.from_numpy(weights), "n": torch.arange(3)}, path)
    loaded = bnq.load(path)
    assert np.array_equal(loaded["w"], weights)
    assert loaded["n"].tolist() == [0, 1, 2]


def test_the_same_tensors_give_the_same_bytes(tmp_path: Path, weights: np.ndarray) -> None:
    q = bnq.quantize(weights, 4)
    bnq.save(tmp_path / "a", {"x": q, "y": weights})
    bnq.save(tmp_path / "b", {"y": weights, "x": q})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_existing_file_is_kept(path: Path, weights: np.ndarray) -> None:
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError) as caught:
        bnq.save(path, {"w": weights})
    assert isinstance(caught.value, bnq.ExistsError)
    assert path.read_bytes() == b"precious"
    bnq.save(str(path), {"w": weights}, force=True)
    assert np.array_equal(bnq.load(path)["w"], weights)


def test_what_cannot_be_saved_leaves_no_file(path: Path, weights: np.ndarray) -> None:
    for bad in (np.ones(2, "c16"), "text", [1.0], torch.empty(2, device="meta")):
        with pytest.raises(bnq.Error, match="save 'bad'"):
            bnq.save(path, {"good": weights, "bad": bad})
    with pytest.raises(OSError, match="missing"):
        bnq.save(path.parent / "missing/model.safetensors", {"w": weights})
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{}x", b"\x02\0\0\0\0\0\0\0{]"])
def test_broken_files(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(bnq.BadContentError, match="model"):
        bnq.load(path)


def test_missing_files(tmp_path: Path, weights: np.ndarray) -> None:
    path = tmp_path / "nothing here"
    with pytest.raises(FileNotFoundError, match="nothing here: cannot open the file") as caught:
        bnq.load(path)
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert isinstance(error, bnq.IoError)
        assert (error.errno, error.filename) == (errno.ENOENT, str(path))
        assert str(error) == str(caught.value)
    with pytest.raises(bnq.MissingFileError, match="make the folder first"):
        bnq.save(path / "w", {"w": weights})
    with pytest.raises(bnq.BadContentError, match="holds no weights"):
        bnq.load(tmp_path)


NO_PATHS = [None, 3, 2.5, [], "", "a\0b", "\ud800"]


@pytest.mark.parametrize("bad", NO_PATHS)
def test_what_is_no_path(bad: object, weights: np.ndarray) -> None:
    for call in (bnq.load, lambda bad: bnq.save(bad, {"w": weights})):
        with pytest.raises(bnq.InvalidArgumentError, match=r"(load|save) path: .*got"):
            call(bad)


@pytest.mark.parametrize("name", [3, None, b"w", "\ud800"])
def test_what_is_no_name(name: object, path: Path, weights: np.ndarray) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match="save name: not"):
        bnq.save(path, {"good": weights, name: weights})
    assert not path.exists()


@pytest.mark.parametrize("tensors", [None, 3, "w", [np.ones(2)], [("w", np.ones(2))]])
def test_what_are_no_tensors_by_name(tensors: object, path: Path) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match="need a dict"):
        bnq.save(path, tensors)


@pytest.mark.parametrize("force", ["no", 1, None])
def test_what_is_no_switch(force: object, path: Path, weights: np.ndarray) -> None:
    path.write_bytes(b"precious")
    with pytest.raises(bnq.InvalidArgumentError, match="need True or False"):
        bnq.save(path, {"w": weights}, force=force)
    assert path.read_bytes() == b"precious"


def test_the_message_lists_what_a_file_holds(path: Path) -> None:
    with pytest.raises(bnq.UnsupportedError, match=r"got complex128, need one of f32, .* i64, .* bool"):
        bnq.save(path, {"bad": np.ones(2, "c16")})


@pytest.mark.parametrize("framework", [None, 3, "", ".x", "\ud800", "nothing"])
def test_what_is_no_framework(framework: object, path: Path) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match="need numpy, torch or jax"):
        bnq.load(path, framework=framework)


def test_loaded_tensors_outlive_the_file(path: Path, weights: np.ndarray) -> None:
    q = bnq.quantize(weights, 8)
    bnq.save(path, {"q": q, "w": weights})
    loaded = bnq.load(path)
    path.unlink()
    codes, plain = loaded["q"].codes, loaded["w"]
    del loaded
    assert np.array_equal(codes, q.codes)
    assert np.array_equal(plain, weights)


def test_files_travel_between_processes(path: Path, weights: np.ndarray) -> None:
    bnq.save(path, {"q": bnq.quantize(weights, "ternary")})
    code = "import sys, bnq; print(bnq.load(sys.argv[1])['q'].codes.sum())"
    out = subprocess.run([sys.executable, "-c", code, os.fspath(path)], check=True, capture_output=True, text=True)
    assert int(out.stdout) == int(bnq.quantize(weights, "ternary").codes.sum())
