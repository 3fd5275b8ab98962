"""A full disk, a real one: a file system of one megabyte."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

Run = Callable[..., Any]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("may not mount a file system here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("verb", ["quantize", "dequantize"])
def test_is_said_before_work_and_nothing_is_left(
    bnq: Run, small_disk: Path, tmp_path: Path, kind: str, verb: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    weights = np.random.default_rng(1).standard_normal((1024, 2048)).astype(np.float32)
    save_file({"a.weight": weights}, folder / "model.safetensors", {"format": "pt"})
    source = folder if kind == "folder" else folder / "model.safetensors"
    if verb == "dequantize":
        bnq("quantize", source, tmp_path / "small")
        source = tmp_path / "small"
    assert "no space for" in bnq(verb, source, small_disk / "out", code=1).stderr
    assert list(small_disk.iterdir()) == []
