"""Fixtures of the command line tests. The environment variable BNQ_CLI names the binary."""

import json
import os
import signal
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

Tensors = dict[str, NDArray[Any]]


def pytest_configure() -> None:
    # Under nohup, or behind `&` in a script, signals that tests send would be ignored, by programs they start too.
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    binary = os.environ.get("BNQ_CLI", "")
    if not os.access(binary, os.X_OK):
        raise pytest.UsageError(f"BNQ_CLI must name the bnq binary (got {binary!r}); use `make python`")


@pytest.fixture
def binary() -> str:
    return str(Path(os.environ["BNQ_CLI"]).resolve())


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BNQ_NUM_THREADS", "BNQ_ISA", "CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bnq(binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`bnq(*arguments, code=0)` runs the command in a folder of its own and checks the exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, code: int = 0, **options: Any) -> "subprocess.CompletedProcess[str]":
        command = [binary, *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)
        assert result.returncode == code, f"{command} gave {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    return run


@pytest.fixture
def bnq_json(bnq: Run) -> Callable[..., dict[str, Any]]:
    """The same with --json; gives the parsed document."""

    def run(*arguments: object, code: int = 0) -> dict[str, Any]:
        document = json.loads(bnq(*arguments, "--json", code=code).stdout)
        assert isinstance(document, dict)
        return document

    return run


@pytest.fixture
def tensors() -> Tensors:
    """A small model: linear layers, an embedding, a head, a norm, and what bnq does not quantize."""
    rng = np.random.default_rng(7)

    def normal(*shape: int) -> NDArray[np.float32]:
        return rng.standard_normal(shape, dtype=np.float32)

    return {
        "embed_tokens.weight": normal(40, 32),
        "layer.0.up.weight": normal(64, 32),
        "layer.0.up.bias": normal(64),
        "layer.0.down.weight": normal(32, 64).astype(np.float16),
        "layer.1.up.weight": normal(64, 32),
        "layer.1.down.weight": normal(32, 64),
        "norm.weight": normal(32),
        "lm_head.weight": normal(40, 32),
        "position_ids": np.arange(16, dtype=np.int64)[None],
        "precise.weight": normal(4, 8).astype(np.float64),
    }


@pytest.fixture
def model(tensors: Tensors, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    return path


@pytest.fixture
def small(model: Path, bnq: Run) -> Path:
    """`model` in int8."""
    path = model.with_name("small.safetensors")
    bnq("quantize", model, path)
    return path


@pytest.fixture
def raw_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a safetensors file from a header that may lie."""

    def write(header: dict[str, Any] | str, data_bytes: bytes = b"", name: str = "raw.safetensors") -> Path:
        text = (header if isinstance(header, str) else json.dumps(header)).encode()
        path = tmp_path / name
        path.write_bytes(struct.pack("<Q", len(text)) + text + data_bytes)
        return path

    return write
