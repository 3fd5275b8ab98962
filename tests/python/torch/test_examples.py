"""The examples for PyTorch run, in a short form. What they reach in full stands in the docs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples/torch"


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_digits(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    out = run("digits.py", "--seeds", 1, "--epochs", 12, "--json", tmp_path / "x.json")
    (result,) = read(tmp_path / "x.json")
    assert result["ternary"] > 94
    assert result["packed"] == pytest.approx(result["ternary"], abs=0.5), "packed as trained"
    assert "104,488 -> 7,540 bytes" in out


def test_characters(tmp_path: Path) -> None:
    run("characters.py", "--seeds", 1, "--steps", 60, "--json", tmp_path / "x.json")
    (result,) = read(tmp_path / "x.json")
    assert result["ternary"] < 3, "4.6 is chance"
    assert result["packed"] == pytest.approx(result["ternary"], abs=1e-3), "packed as trained"


def test_bitnet_decode(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    run("bitnet_decode.py", "--layers", 1, "--vocabulary", 256, "--rounds", 1, "--json", tmp_path / "x.json")
    assert read(tmp_path / "x.json")["logits"] < 0.1
