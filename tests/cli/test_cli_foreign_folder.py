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


def config(form: str, bits: Any = 4, **changed: Any) -> dict[str, Any]:
    """One group of layers; a change of None leaves the setting out."""
    weights = {"num_bits": bits, "type": "int", "strategy": "channel", "symmetric": True} | changed
    weights = {key: value for key, value in weights.items() if value is not None}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "format": form, "config_groups": groups}


PACKED = config("pack-quantized")
INT = config("int-quantized", 8)
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
    "more rows than codes": (packed(shape=np.array([8, 32])), PACKED, "[8, 32] in 4 words a row with scales [4, 1]"),
    "more depth than words": (packed(shape=np.array([4, 64])), PACKED, "[4, 64] in 4 words a row"),
    "a negative extent": (packed(shape=np.array([-4, 32])), PACKED, "absurd"),
    "a huge extent": (packed(shape=np.array([2**40, 32])), PACKED, "absurd"),
    "no elements": (packed(shape=np.array([0, 0])), PACKED, "absurd"),
    "the largest extents": (packed(shape=np.array([2**31 - 1, 2**31 - 1])), PACKED, "fits no group"),
    "no shape": (packed(shape=None), PACKED, "weight_shape"),
    "shape in i32": (packed(shape=np.array([4, 32], np.int32)), PACKED, "i64 [2]"),
    "words of one axis": (packed(packed=np.zeros(16, np.int32)), PACKED, "fits no group"),
    "words of no axis": (packed(packed=np.zeros((), np.int32)), PACKED, "fits no group"),
    "words of three axes": (packed(packed=np.zeros((1, 4, 4), np.int32)), PACKED, "need i32 [4, 4]"),
    "8 bits in words": (packed(packed=np.zeros((4, 8), np.int32)), config("pack-quantized", 8), "8 bits in words"),
    "words of four bits read as three": (
        packed(packed=np.full((4, 2), -1, np.int32), shape=np.array([4, 16])),
        config("pack-quantized", 3),
        "padding bits are not zero",
    ),
    "twice the words": (packed(packed=np.zeros((4, 8), np.int32)), PACKED, "fits no group"),
    "NaN scale": (packed(scale=ONES * np.nan), PACKED, "nan"),
    "negative scale": (packed(scale=-ONES), PACKED, "-1.0"),
    "too few scales": (packed(scale=ONES[:3]), PACKED, "[3, 1]"),
    "groups that do not divide": (packed(scale=np.ones((4, 5), np.float32)), PACKED, "[4, 5]"),
    "integer scales": (packed(scale=np.ones((4, 1), np.int32)), PACKED, "scales in i32"),
    "twice, packed and not": (packed() | {"a.weight": np.zeros((4, 32), np.float32)}, PACKED, "twice"),
    "codes of one axis": (codes(np.zeros(4, np.int8), ONE), INT, "matrix"),
    "codes out of range": (
        codes(np.full((4, 4), 100, np.int8), ONES),
        config("int-quantized", 4),
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


WHOLE = {"b.weight": np.ones((4, 32), np.int8), "b.weight_scale": ONES}
STRAY: dict[str, tuple[Arrays, dict[str, Any]]] = {
    "codes without scales": ({"a.weight": np.ones((4, 32), np.int8)}, INT),
    "bytes without scales": ({"a.weight": np.ones((4, 32), np.uint8)}, INT),
    "bytes with scales": (codes(np.ones((4, 32), np.uint8), ONES), INT),
    "scales without codes": ({"a.weight_scale": ONES}, INT),
    "scales beside floats": (codes(np.ones((4, 32), np.float32), ONES), INT),
    "a shape alone": ({"a.weight_shape": np.array([4, 32])}, INT),
    "packed without scales": (packed(scale=None), PACKED),
    "zero points alone": ({"a.weight_zero_point": np.zeros((4, 1), np.int8)}, INT),
}


@pytest.mark.parametrize("name", STRAY)
def test_a_part_that_belongs_to_no_tensor_is_refused(bnq: Run, tmp_path: Path, name: str) -> None:
    """Another layer is whole: the folder as a whole looks well."""
    tensors, quantization = STRAY[name]
    whole = WHOLE if quantization is INT else {f"b.{k[2:]}": v for k, v in packed().items()}
    folder = write(tmp_path / "in", tensors | whole, quantization)
    for verb in (["inspect", folder], ["dequantize", folder, tmp_path / "out"], ["verify", folder, folder]):
        assert "'a.weight" in bnq(*verb, code=4).stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("tensors", "quantization"), [(WHOLE, INT), (packed(), PACKED)])
def test_parts_may_lie_in_several_shards(bnq: Run, tmp_path: Path, tensors: Arrays, quantization: Any) -> None:
    """Who cuts by size cuts between codes and scales."""
    bnq("dequantize", write(tmp_path / "one", tensors, quantization), tmp_path / "from one")
    folder = write(tmp_path / "in", {}, quantization)
    (folder / "model.safetensors").unlink()
    shards = {name: f"model-{i}.safetensors" for i, name in enumerate(tensors)}
    for name, shard in shards.items():
        save_file({name: tensors[name]}, folder / shard, {"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    bnq("inspect", folder)
    bnq("dequantize", folder, tmp_path / "from many")
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("from one", "from many")]
    assert files[0] == files[1]


def test_scales_and_zero_points_of_tokens_are_no_stray_parts(bnq: Run, tmp_path: Path) -> None:
    tokens = {"b.input_scale": np.ones(1, np.float32), "b.input_zero_point": np.zeros(1, np.int8)}
    bnq("inspect", write(tmp_path / "in", WHOLE | tokens, INT))


GROUP_0 = INT["config_groups"]["group_0"]
LIES: dict[str, tuple[Any, str]] = {
    "99 bits": (config("int-quantized", 99), "num_bits 99"),
    "-1 bits": (config("int-quantized", -1), "num_bits -1"),
    "2^64 - 1 bits": (config("int-quantized", 2**64 - 1), "'num_bits' is no count"),
    "bits as text": (config("int-quantized", "8"), "'num_bits' is no count"),
    "another strategy": (config("int-quantized", 8, strategy="tensor"), "fits no group"),
    "another group size": (config("int-quantized", 8, strategy="group", group_size=16), "fits no group"),
    "a group without its size": (config("int-quantized", 8, strategy="group"), "contradicts group_size"),
    "a size without its group": (config("int-quantized", 8, group_size=32), "contradicts group_size"),
    "no strategy": (config("int-quantized", 8, strategy=None), "one scale a tensor"),
    "symmetry as text": (config("int-quantized", 8, symmetric="yes"), "'symmetric' is not true or false"),
    "no groups": ({k: v for k, v in INT.items() if k != "config_groups"}, "no config_groups"),
    "empty groups": (INT | {"config_groups": {}}, "no config_groups"),
    "groups as a list": (INT | {"config_groups": [1, 2]}, "is no object"),
    "a group as a number": (INT | {"config_groups": {"a": 3}}, "is no object"),
    "weights as a list": (INT | {"config_groups": {"a": {"weights": [8]}}}, "is no object"),
    "format as a number": (INT | {"format": 8}, "'format' is no text"),
    "method as a number": (INT | {"quant_method": 8}, "'quant_method' is no text"),
    "linear_class as a list": ({"quant_method": "bitnet", "linear_class": ["bitlinear"]}, "'linear_class' is no text"),
    "mode as a number": ({"quant_method": "bitnet", "quantization_mode": 1}, "'quantization_mode' is no text"),
    "a list": ([INT], "is no object"),
    "a text": ("int-quantized", "is no object"),
}


@pytest.mark.parametrize("name", LIES)
def test_settings_that_contradict_the_tensors_or_themselves_are_refused(bnq: Run, tmp_path: Path, name: str) -> None:
    quantization, message = LIES[name]
    folder = write(tmp_path / "in", WHOLE, quantization)
    for verb in (["inspect", folder], ["dequantize", folder, tmp_path / "out"], ["verify", folder, folder]):
        assert message in bnq(*verb, code=4).stderr
    assert not (tmp_path / "out").exists()


UNREAD: dict[str, tuple[Any, str]] = {
    "asymmetric": (config("int-quantized", 8, symmetric=False), "zero points"),
    "floats": (config("int-quantized", 8, type="float"), "'float'"),
    "blocks": (config("int-quantized", 8, strategy="block"), "'block'"),
    "reordered": (config("int-quantized", 8, actorder="group"), "another order"),
    "reordered by a flag": (config("int-quantized", 8, actorder=True), "another order"),
    "fp8": (INT | {"format": "float-quantized"}, "'float-quantized'"),
    "no format": ({k: v for k, v in INT.items() if k != "format"}, "no format"),
    "rotated": (INT | {"transform_config": {"config_groups": {"R1": {"type": "hadamard"}}}}, "transform_config"),
    "sparse": (INT | {"sparsity_config": {"format": "sparse-24-bitmask"}}, "'sparse-24-bitmask'"),
    "a preset": (INT | {"config_groups": {"W8A8": ["Linear"]}}, "'W8A8'"),
    "gptq": ({"quant_method": "gptq", "bits": 4}, "'gptq'"),
    "no method": ({"format": "int-quantized"}, "'unnamed'"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_bnq_does_not_read_is_listed_and_neither_dequantized_nor_verified(
    bnq: Run, tmp_path: Path, name: str
) -> None:
    quantization, message = UNREAD[name]
    folder = write(tmp_path / "in", WHOLE, quantization)
    bnq("inspect", folder)
    floats = write(tmp_path / "floats", {"b.weight": np.ones((4, 32), np.float32)}, None)
    commands = (["dequantize", folder, tmp_path / "out"], ["verify", folder, floats], ["verify", floats, folder])
    for verb in commands:
        assert message in bnq(*verb, code=4).stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "quantization",
    [
        INT | {"transform_config": {}, "sparsity_config": {}, "kv_cache_scheme": None},
        INT | {"sparsity_config": {"format": "dense"}},
        config("int-quantized", 8, actorder="weight"),
        config("int-quantized", 8, actorder=False, group_size=-1),
        INT | {"format": "mixed-precision", "config_groups": {"a": GROUP_0 | {"format": "int-quantized"}}},
        INT | {"config_groups": {"a": GROUP_0, "b": {"weights": None}}},
    ],
)
def test_settings_that_change_no_weight_are_read(bnq: Run, tmp_path: Path, quantization: Any) -> None:
    bnq("dequantize", write(tmp_path / "in", WHOLE, quantization), tmp_path / "out")


def test_a_key_that_stands_twice_is_refused(bnq: Run, tmp_path: Path) -> None:
    """Whoever reads it takes the first, or the last."""
    folder = write(tmp_path / "in", codes(TERNARY, ONE), BITNET)
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"linear_class"', '"linear_class": "bitlinear", "linear_class"'))
    for verb in (["inspect", folder], ["quantize", folder, tmp_path / "out", "--scheme", "8"]):
        assert "'linear_class' stands twice" in bnq(*verb, code=4).stderr


def test_a_config_of_a_million_keys_is_refused_at_once(bnq: Run, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"a.weight": np.ones((4, 4), np.float32)}, None)
    (folder / "config.json").write_text(json.dumps({"labels": dict.fromkeys(map(str, range(10**6)), 0)}))
    assert "more than 65536 keys" in bnq("inspect", folder, code=4).stderr


def test_a_scales_option_of_another_text_is_a_usage_error(bnq: Run, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", codes(TERNARY, ONE), BITNET)
    assert "multiply or inverse" in bnq("inspect", folder, "--scales", "divide", code=2).stderr
