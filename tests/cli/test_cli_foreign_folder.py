"""Folders that other programs packed, broken: each is refused, with what was got and needed, and nothing is written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

Run = Callable[..., Any]
Arrays = dict[str, np.ndarray]

PACKED = {"quant_method": "compressed-tensors", "format": "pack-quantized"}
PACKED_4 = PACKED | {"config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int"}}}}
INT = PACKED | {"format": "int-quantized"}
BITNET = {"quant_method": "bitnet", "linear_class": "autobitlinear"}
ONES = np.ones((4, 1), np.float32)


def packed(**changed: np.ndarray | None) -> Arrays:
    """Four rows of 32 codes of 4 bits."""
    parts = {"packed": np.zeros((4, 4), np.int32), "scale": ONES, "shape": np.array([4, 32])} | changed
    return {f"a.weight_{key}": array for key, array in parts.items() if array is not None}


def codes(weight: np.ndarray, scale: np.ndarray) -> Arrays:
    return {"a.weight": weight, "a.weight_scale": scale}


TERNARY = np.zeros((2, 4), np.uint8)
ONE = np.ones(1, np.float32)
BROKEN: dict[str, tuple[Arrays, dict[str, Any], str]] = {
    "more rows than codes": (packed(shape=np.array([8, 32])), PACKED, "[4, 1] for [8, 32]"),
    "more depth than words": (packed(shape=np.array([4, 64])), PACKED_4, "4 words of 32 bits for 64 codes"),
    "a negative extent": (packed(shape=np.array([-4, 32])), PACKED, "absurd"),
    "a huge extent": (packed(shape=np.array([2**40, 32])), PACKED, "absurd"),
    "no elements": (packed(shape=np.array([0, 0])), PACKED, "absurd"),
    "the largest extents": (packed(shape=np.array([2**31 - 1, 2**31 - 1])), PACKED, "2147483647 codes"),
    "no shape": (packed(shape=None), PACKED, "weight_shape"),
    "shape in i32": (packed(shape=np.array([4, 32], np.int32)), PACKED, "i64 [2]"),
    "words of one axis": (packed(packed=np.zeros(16, np.int32)), PACKED, "16 words"),
    "words of no axis": (packed(packed=np.zeros((), np.int32)), PACKED, "0 words"),
    "words of three axes": (packed(packed=np.zeros((1, 4, 4), np.int32)), PACKED, "need i32 [4, 4]"),
    "8 bits in words": (packed(packed=np.zeros((4, 8), np.int32)), PACKED, "codes of 2 to 7 bits"),
    "NaN scale": (packed(scale=ONES * np.nan), PACKED, "nan"),
    "negative scale": (packed(scale=-ONES), PACKED, "-1.0"),
    "too few scales": (packed(scale=ONES[:3]), PACKED, "[3, 1]"),
    "groups that do not divide": (packed(scale=np.ones((4, 5), np.float32)), PACKED, "[4, 5]"),
    "integer scales": (packed(scale=np.ones((4, 1), np.int32)), PACKED, "scales in i32"),
    "twice, packed and not": (packed() | {"a.weight": np.zeros((4, 32), np.float32)}, PACKED, "twice"),
    "codes of one axis": (codes(np.zeros(4, np.int8), ONE), INT, "matrix"),
    "codes out of range": (
        codes(np.full((4, 4), 100, np.int8), ONES),
        INT | {"config_groups": PACKED_4["config_groups"]},
        "need -8 to 7",
    ),
    "no quantized tensor": ({"a.weight": np.zeros((4, 4), np.float32)}, INT, "no tensor is"),
    "code 3": (codes(TERNARY + 255, ONE), BITNET, "need -1 to 1"),
    "scale 0": (codes(TERNARY, 0 * ONE), BITNET, "no positive number"),
    "infinite scale": (codes(TERNARY, np.inf * ONE), BITNET, "no positive number"),
    "two scales": (codes(TERNARY, np.ones(2, np.float32)), BITNET, "one scale"),
    "bytes of one axis": (codes(TERNARY[0], ONE), BITNET, "[rows / 4, depth]"),
    "no bytes": (codes(TERNARY[:0], ONE), BITNET, "[rows / 4, depth]"),
    "a reciprocal of nothing": (codes(TERNARY, 1e-42 * ONE), BITNET | {"linear_class": "bitlinear"}, "--scales"),
}


def write(folder: Path, tensors: Arrays, quantization: Any) -> Path:
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"quantization_config": quantization}))
    return folder


@pytest.mark.parametrize("name", BROKEN)
def test_broken_folders_are_refused(bnq: Run, tmp_path: Path, name: str) -> None:
    tensors, config, message = BROKEN[name]
    folder = write(tmp_path / "in", tensors, config)
    assert message in bnq("inspect", folder, code=4).stderr
    assert message in bnq("dequantize", folder, tmp_path / "out", code=4).stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("groups", [[1, 2], {"a": 3}, {"a": {"weights": {"num_bits": "four"}}}, {}])
def test_settings_of_other_types_are_passed_over_where_tensors_say_all(bnq: Run, tmp_path: Path, groups: Any) -> None:
    folder = write(tmp_path / "in", packed(), PACKED | {"config_groups": groups})
    bnq("inspect", folder)


def test_a_scales_option_of_another_text_is_a_usage_error(bnq: Run, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", codes(TERNARY, ONE), BITNET)
    assert "multiply or inverse" in bnq("inspect", folder, "--scales", "divide", code=2).stderr
