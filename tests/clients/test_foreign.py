"""Folders that other programs packed, made by their own code, are read to the values that they mean."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from compressed_tensors.compressors.base import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from models import load, make_model, run_bnq
from safetensors.torch import load_file, save_file

import bnq

pytestmark = pytest.mark.filterwarnings("default")  # the other programs' own

LAYERS = ("model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj")


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {name: torch.randn(48, 128, generator=generator) * 0.02 for name in LAYERS}


def write_folder(folder: Path, tensors: dict[str, torch.Tensor], quantization: dict[str, Any]) -> Path:
    folder.mkdir()
    norm = {"model.norm.weight": torch.ones(48, dtype=torch.bfloat16)}
    save_file({k: v.contiguous() for k, v in (tensors | norm).items()}, folder / "model.safetensors", {"format": "pt"})
    config = {"architectures": ["LlamaForCausalLM"], "dtype": "bfloat16", "quantization_config": quantization}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def compressed(
    folder: Path, bits: int, strategy: str, form: str, dtype: torch.dtype
) -> tuple[Path, dict[str, torch.Tensor]]:
    """A folder of compressed-tensors, and what its own decompressor makes of it."""
    args = QuantizationArgs(num_bits=bits, strategy=strategy, group_size=32 if strategy == "group" else None)
    scheme = QuantizationScheme(targets=["Linear"], weights=args, format=form)
    compressor: Any = BaseCompressor.get_value_from_registry(form)
    tensors, meant = {}, {}
    for name, weight in weights().items():
        parts = weight.reshape(48, -1, 32 if strategy == "group" else 128)
        largest = weight.abs().max().reshape(1) if strategy == "tensor" else parts.abs().amax(-1)
        scale = (largest / ((2**bits - 1) / 2)).to(dtype)  # its own rule: -2^(bits-1) is a code too
        state = compressor.compress({"weight": weight.to(dtype), "weight_scale": scale}, scheme)
        tensors |= {f"{name}.{key}": value for key, value in state.items()}
        meant[name] = compressor.decompress(dict(state), scheme)["weight"]
    config = {
        "quant_method": "compressed-tensors",
        "format": form,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": json.loads(args.model_dump_json())}},
        "ignore": ["lm_head"],
    }
    return write_folder(folder, tensors, config), meant


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("strategy", ["channel", "group", "tensor"])
@pytest.mark.parametrize(
    ("form", "bits"), [("int-quantized", 8), ("int-quantized", 4), *(("pack-quantized", b) for b in range(2, 8))]
)
def test_compressed_tensors(form: str, bits: int, strategy: str, dtype: torch.dtype, tmp_path: Path) -> None:
    folder, meant = compressed(tmp_path / "in", bits, strategy, form, dtype)
    tensors = bnq.load(folder)
    lowest = []
    for name in LAYERS:
        q = tensors[f"{name}.weight"]
        assert q.scheme.rule == f"int{bits}-given"
        assert torch.equal(torch.from_numpy(q.dequantize("f32")).to(dtype), meant[name])
        lowest.append(int(q.codes.min()))
    if strategy != "tensor":
        assert min(lowest) == -(2 ** (bits - 1)), "a code that bnq's own schemes do not have"
    run_bnq("dequantize", folder, tmp_path / "out", "--dtype", "f32")
    floats = load_file(tmp_path / "out" / "model.safetensors")
    assert set(floats) == {"model.norm.weight", *(f"{name}.weight" for name in LAYERS)}
    for name in LAYERS:
        assert torch.equal(floats[f"{name}.weight"].to(dtype), meant[name])
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())


def bitnet(folder: Path, inverse: bool, deviation: float = 0.02, **config: Any) -> tuple[Path, dict[str, torch.Tensor]]:
    pack_weights = transformers.integrations.bitnet.pack_weights  # not imported above: importing it warns
    tensors, meant = {}, {}
    for name, weight in weights().items():
        scaled = weight * (deviation / 0.02)
        mean = scaled.abs().mean()
        codes = (scaled / mean).round().clamp(-1, 1)
        scale = ((1 / mean) if inverse else mean).reshape(1).to(torch.bfloat16)
        tensors |= {f"{name}.weight": pack_weights(codes.clone()), f"{name}.weight_scale": scale}
        meant[name] = codes * (1 / scale.float() if inverse else scale.float())
    return write_folder(folder, tensors, {"quant_method": "bitnet", **config}), meant


@pytest.mark.parametrize(
    ("inverse", "config"),
    [(False, {"linear_class": "autobitlinear"}), (True, {"linear_class": "bitlinear"}), (True, {})],
)
def test_bitnet_in_both_conventions(inverse: bool, config: dict[str, str], tmp_path: Path) -> None:
    folder, meant = bitnet(tmp_path / "in", inverse, **config)
    tensors = bnq.load(folder)
    for name in LAYERS:
        q = tensors[f"{name}.weight"]
        assert str(q.scheme) == "ternary-absmean:tensor"
        assert torch.equal(torch.from_numpy(q.dequantize("f32")), meant[name])
    assert "bitnet" in bnq.inspect(folder).written_by


def test_a_convention_that_nothing_settles_is_asked_for(tmp_path: Path) -> None:
    """2B-4T has means of 1.2 to 2, whose reciprocals are means too; without linear_class nobody can know."""
    folder, meant = bitnet(tmp_path / "in", inverse=False, deviation=1.5)
    for verb in (["inspect", folder], ["dequantize", folder, tmp_path / "out"]):
        message = run_bnq(*verb, code=4).stderr
        assert "config.json" in message
        assert "--scales multiply" in message
    assert not (tmp_path / "out").exists()
    with pytest.raises(bnq.BadContentError, match="reciprocal"):
        bnq.load(folder)
    tensors = bnq.load(folder, scales="multiply")
    for name in LAYERS:
        assert torch.equal(torch.from_numpy(tensors[f"{name}.weight"].dequantize("f32")), meant[name])
    run_bnq("dequantize", folder, tmp_path / "out", "--dtype", "f32", "--scales", "multiply")
    assert torch.equal(load_file(tmp_path / "out" / "model.safetensors")[f"{LAYERS[0]}.weight"], meant[LAYERS[0]])


@pytest.mark.parametrize("linear_class", ["autobitlinear", "bitlinear"])
def test_a_config_that_the_values_contradict_is_not_believed(linear_class: str, tmp_path: Path) -> None:
    folder, _ = bitnet(tmp_path / "in", inverse=linear_class == "autobitlinear", linear_class=linear_class)
    assert "--scales" in run_bnq("inspect", folder, code=4).stderr


@pytest.mark.parametrize("kind", ["bitnet", "int-quantized", "pack-quantized"])
def test_is_never_quantized_twice(kind: str, tmp_path: Path) -> None:
    if kind == "bitnet":
        folder, _ = bitnet(tmp_path / "in", inverse=True)
    else:
        folder, _ = compressed(tmp_path / "in", 4, "group", kind, torch.bfloat16)
    message = run_bnq("quantize", folder, tmp_path / "out", "--scheme", "8", code=4).stderr
    assert "quantized already" in message
    (folder / "config.json").write_text("{}")
    assert "packed already" in run_bnq("quantize", folder, tmp_path / "out", "--scheme", "8", code=4).stderr
    assert not (tmp_path / "out").exists()


def test_verify_compares_what_another_program_quantized(tmp_path: Path) -> None:
    folder, _ = compressed(tmp_path / "in", 4, "group", "pack-quantized", torch.float32)
    write_folder(tmp_path / "original", {f"{k}.weight": v for k, v in weights().items()}, {})
    (tmp_path / "original" / "config.json").write_text("{}")
    found = json.loads(run_bnq("verify", tmp_path / "original", folder, "--min-sqnr", "15", "--json").stdout)
    assert found["is_foreign"]
    assert found["written_by"] == "compressed-tensors pack-quantized"
    assert 15 < found["worst_sqnr_db"] < 30
    run_bnq("verify", tmp_path / "original", folder, "--min-sqnr", "60", code=3)
    run_bnq("verify", tmp_path / "original", folder, "--html", tmp_path / "page.html")


@pytest.mark.parametrize("part", ["weight_zero_point", "weight_g_idx"])
def test_asymmetric_or_permuted_codes_are_not_read_as_plain_ones(part: str, tmp_path: Path) -> None:
    folder, _ = compressed(tmp_path / "in", 4, "group", "pack-quantized", torch.float32)
    tensors = load_file(folder / "model.safetensors")
    tensors[f"{LAYERS[0]}.{part}"] = torch.zeros(48, 4, dtype=torch.int32)
    save_file(tensors, folder / "model.safetensors")
    message = run_bnq("dequantize", folder, tmp_path / "out", code=4).stderr
    assert part in message
    assert "symmetric" in message
    run_bnq("inspect", folder)


def test_a_stated_shape_of_another_width_than_the_config_has_is_refused(tmp_path: Path) -> None:
    """Twice the depth in the same words would be codes of half the bits."""
    folder, _ = compressed(tmp_path / "in", 4, "channel", "pack-quantized", torch.float32)
    tensors = load_file(folder / "model.safetensors")
    tensors[f"{LAYERS[0]}.weight_shape"] = torch.tensor([48, 256])
    save_file(tensors, folder / "model.safetensors")
    assert "[48, 256] in 16 words a row" in run_bnq("inspect", folder, code=4).stderr


def test_methods_that_bnq_does_not_read_are_named(tmp_path: Path) -> None:
    tensors = {"a.qweight": torch.zeros(4, 4, dtype=torch.int32)}
    folder = write_folder(tmp_path / "in", tensors, {"quant_method": "gptq"})
    assert "'gptq'" in run_bnq("dequantize", folder, tmp_path / "out", code=4).stderr
    assert "written by gptq" in run_bnq("inspect", folder).stdout


def online_folder(folder: Path, **changed: Any) -> Path:
    make_model("LlamaForCausalLM").save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    settings = {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"}
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": settings | changed}))
    return folder


def logits(folder: Path) -> torch.Tensor:
    with torch.no_grad():
        return load(folder, "LlamaForCausalLM")(torch.arange(12)[None]).logits  # type: ignore[no-any-return]


@pytest.mark.parametrize("kept", [None, ["lm_head", "model.layers.1.mlp.up_proj"]])
def test_an_online_bitnet_stays_the_same_model(kept: list[str] | None, tmp_path: Path) -> None:
    source = online_folder(tmp_path / "in", modules_to_not_convert=kept)
    keep = [f"--keep={name}.weight" for name in kept or []]
    run_bnq("quantize", source, tmp_path / "out", "--scheme", "ternary", "--strict", *keep)
    need, got = logits(source), logits(tmp_path / "out")
    assert float((got - need).norm() / need.norm()) < 0.02  # a scale rounded otherwise flips a code of an activation
    run_bnq("quantize", source, tmp_path / "int8", "--scheme", "8", code=2)  # 120 % away
    assert not (tmp_path / "int8").exists()


def test_an_online_bitnet_of_ternary_floats(tmp_path: Path) -> None:
    """Their scale is a for bnq, and the mean magnitude for the model: 52 % away."""
    source = online_folder(tmp_path / "in")
    tensors = load_file(source / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    weight = tensors[name]
    signs = torch.sign(weight) * (weight.abs() > weight.abs().median())
    save_file(tensors | {name: 0.5 * signs}, source / "model.safetensors", metadata={"format": "pt"})
    for verb, *more in (["quantize", "--scheme", "ternary"], ["convert", "--to", "u2_hf"]):
        assert "mean magnitude is not a" in run_bnq(verb, source, tmp_path / "out", *more, code=2).stderr
        assert not (tmp_path / "out").exists()


def test_norms_of_linear_layers_are_not_lost(tmp_path: Path) -> None:
    """Without its config the folder is a model of plain layers, which is 80 % away."""
    run_bnq("quantize", online_folder(tmp_path / "in"), tmp_path / "low", "--scheme", "ternary", "--strict")
    run_bnq("dequantize", tmp_path / "low", tmp_path / "floats")
    config = json.loads((tmp_path / "low" / "config.json").read_text())
    config["quantization_config"]["use_rms_norm"] = True
    (tmp_path / "low" / "config.json").write_text(json.dumps(config))
    done = run_bnq("dequantize", tmp_path / "low", tmp_path / "other", code=2)
    assert "norms of their own" in done.stderr
    assert not (tmp_path / "other").exists()
    assert bnq.load(tmp_path / "low").keys() == bnq.load(tmp_path / "floats").keys()
