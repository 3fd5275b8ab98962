"""Every form that bnq reads to every form that it writes, over ternary tensors.

No code changes, and scales move as far as an f16 rounds.
`python tests/clients/test_all_pairs.py docs/_static/convert/pairs.svg` draws the matrix of the page.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from safetensors.numpy import save_file

import bnq

SHAPES = [(256, 256), (640, 2560), (6912, 2560), (3, 256), (2560, 6912)]
SCALE = np.float32(0.1)
FILES = ["u1", "u2_hf", "i32_ct", "i8"]
BLOCKS = ["tq1_0", "tq2_0", "q2_0", "q4_0", "q8_0", "iq2_bn", "i2_s"]
FOLDERS = ["bitnet autobitlinear", "bitnet bitlinear", "compressed-tensors int", "compressed-tensors packed"]
READABLE = ["floats", *FILES[1:], *FOLDERS, *BLOCKS]
WRITABLE = [*FILES, *BLOCKS]
NAME = "model.layers.0.mlp.up_proj.weight"
WHY = {"u1": "needs binary codes", "u2_hf": "needs rows in multiples of 4"}

pytestmark = pytest.mark.filterwarnings("ignore:no tokenizer")


@dataclass(frozen=True)
class Pair:
    """One way: what came out of it."""

    mismatched_codes: int = 0
    scale_error: float = 0.0
    refusal: str = ""


def codes_of(shape: tuple[int, int]) -> np.ndarray:
    codes = np.random.default_rng(shape[0]).integers(-1, 2, shape).astype(np.int8)
    codes[0] = 0
    codes[-1, -256:] = 1
    return codes


def config_of(shape: tuple[int, int], quantization: dict[str, object] | None = None) -> str:
    sizes = {
        "hidden_size": shape[1],
        "intermediate_size": shape[0],
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "head_dim": 8,
    }
    sizes |= {"vocab_size": 8, "max_position_embeddings": 8, "rms_norm_eps": 1e-5}
    config = sizes | {"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": True, "dtype": "float32"}
    return json.dumps(config | ({} if quantization is None else {"quantization_config": quantization}))


def model_around(shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """The rest of a model of one layer, in floats that are not ternary."""
    inner, width = shape
    layer = {"self_attn.q_proj": (8, width), "self_attn.k_proj": (8, width), "self_attn.v_proj": (8, width),
             "self_attn.o_proj": (width, 8), "mlp.gate_proj": (inner, width), "mlp.down_proj": (width, inner),
             "input_layernorm": (width,), "post_attention_layernorm": (width,)}  # fmt: skip
    shapes = {"model.embed_tokens": (8, width), "model.norm": (width,)}
    shapes |= {f"model.layers.0.{name}": shape for name, shape in layer.items()}
    values = np.random.default_rng(1).standard_normal(inner * width + 8 * width, np.float32).astype(np.float16)
    return {f"{name}.weight": values[: np.prod(extents)].reshape(extents) for name, extents in shapes.items()}


def packed_by_hand(form: str, codes: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, object] | None]:
    """Entries and quantization_config of a folder that another program packed."""
    if form == "floats":
        return {NAME: codes * SCALE}, None
    if form.startswith("bitnet"):
        kind = form.split()[1]
        fields = (codes + 1).astype(np.uint8).reshape(4, -1, codes.shape[1])
        stored = SCALE if kind == "autobitlinear" else np.float32(1) / SCALE
        parts = {NAME: fields[0] | fields[1] << 2 | fields[2] << 4 | fields[3] << 6, NAME + "_scale": stored.reshape(1)}
        return parts, {"quant_method": "bitnet", "linear_class": kind}
    weights = {"num_bits": 2, "type": "int", "strategy": "tensor", "symmetric": True}
    is_int = form.endswith("int")
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    config = {"quant_method": "compressed-tensors", "config_groups": groups}
    config["format"] = "int-quantized" if is_int else "pack-quantized"
    scale = {NAME + "_scale": SCALE.reshape(1)}
    if is_int:
        return {NAME: codes} | scale, config
    fields = (codes + 2).astype(np.uint32).reshape(codes.shape[0], -1, 16)
    words = (fields << (2 * np.arange(16, dtype=np.uint32))).sum(axis=2, dtype=np.uint32).view(np.int32)
    return {NAME + "_packed": words, NAME + "_shape": np.array(codes.shape)} | scale, config


def source_of(form: str, codes: np.ndarray, folder: Path) -> Path | None:
    """The tensor in this form; None where the form cannot hold it."""
    if codes.shape[0] % 4 and (form.startswith("bitnet") or form == "u2_hf"):
        return None
    path = folder / form
    if form in FILES or form in BLOCKS:
        floats = source_of("floats", codes, folder)
        target = path.with_suffix(".gguf") if form in BLOCKS else path
        bnq.convert(floats, target, form)
        return target
    if path.exists():
        return path
    path.mkdir()
    parts, quantization = packed_by_hand(form, codes)
    save_file(model_around(codes.shape) | parts, path / "model.safetensors", metadata={"format": "pt"})
    (path / "config.json").write_text(config_of(codes.shape, quantization))
    return path


def convert(source: Path, to: str, codes: np.ndarray) -> Pair:
    out = source.parent / ("out.gguf" if to in BLOCKS else "out")
    try:
        result = bnq.convert(source, out, to, force=True)
    except bnq.UnsupportedError as error:
        return Pair(refusal=str(error))
    if to in BLOCKS:
        back = source.parent / "back"
        bnq.convert(out, back, "i8", force=True)
        out = back
    q = bnq.load(out)[NAME]
    error = float(abs(np.float64(q.scales.flat[0]) / np.float64(SCALE) - 1))
    assert q.scales.size == 1
    assert error >= result.scale_error - 2**-24
    return Pair(int((q.codes != codes).sum()), error)


def all_pairs(shape: tuple[int, int], folder: Path) -> dict[tuple[str, str], Pair]:
    codes = codes_of(shape)
    pairs = {}
    for form in READABLE:
        source = source_of(form, codes, folder)
        for to in WRITABLE:
            # A bare safetensors file does not say what model GGUF is to describe: refused, too.
            pairs[form, to] = Pair(refusal="no such source") if source is None else convert(source, to, codes)
    return pairs


def why_refused(form: str, to: str, shape: tuple[int, int]) -> str:
    """What the message has to say; empty for a way that is open."""
    if shape[0] % 4 and (form.startswith("bitnet") or form == "u2_hf"):
        return "no such source"
    if to in BLOCKS and form in FILES:
        return "says what its model is"
    if form.startswith("compressed-tensors") and to in ("u1", "u2_hf", "tq1_0", "tq2_0", "iq2_bn", "i2_s"):
        return f"layout {to} cannot hold it: it needs"
    if to == "u2_hf" and shape[0] % 4:
        return WHY["u2_hf"]
    return WHY["u1"] if to == "u1" else ""


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_pairs(shape: tuple[int, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = all_pairs(shape, tmp_path)
    for (form, to), pair in pairs.items():
        why = why_refused(form, to, shape)
        assert (why in pair.refusal) if why else not pair.refusal, (form, to, pair)
        if why in ("", "no such source"):
            continue
        assert NAME in pair.refusal or "blk.0.ffn_up.weight" in pair.refusal or "says what its model is" in pair.refusal
    done = [pair for pair in pairs.values() if not pair.refusal]
    assert sum(pair.mismatched_codes for pair in done) == 0
    worst = max(pair.scale_error for pair in done)
    assert worst <= 2**-11
    with capsys.disabled():
        print(f"\n{shape}: {len(pairs)} pairs, {len(done)} converted, 0 codes changed, worst scale error {worst:.2g}")


def cell(pair: Pair) -> tuple[str, str]:
    """Colour and text."""
    if pair.refusal:
        return "#e5e7eb", "–"
    return ("#86d3a2", "=") if pair.scale_error < 2**-22 else ("#f5d67b", "f16")


def drawn(pairs: dict[tuple[str, str], Pair]) -> str:
    left, top, side, row = 210, 80, 58, 26
    width, height = left + side * len(WRITABLE) + 10, top + row * len(READABLE) + 40
    box = f'viewBox="0 0 {width} {height}" width="{width}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="24" font-weight="bold">to</text>',
        f'<text x="10" y="{top - 10}" font-weight="bold">from</text>',
    ]
    for column, to in enumerate(WRITABLE):
        x = left + column * side + side // 2
        lines.append(f'<text x="{x}" y="{top - 10}" text-anchor="middle">{to}</text>')
    for index, form in enumerate(READABLE):
        y = top + index * row
        lines.append(f'<text x="10" y="{y + 18}">{form}{" (GGUF)" if form in BLOCKS else ""}</text>')
        for column, to in enumerate(WRITABLE):
            colour, text = cell(pairs[form, to])
            x = left + column * side
            lines.append(f'<rect x="{x}" y="{y}" width="{side - 2}" height="{row - 2}" fill="{colour}"/>')
            lines.append(f'<text x="{x + side // 2 - 1}" y="{y + 17}" text-anchor="middle">{text}</text>')
    key = "=  codes and scale as they were     f16  scale rounded to f16     –  refused by name, before any work"
    lines += [f'<text x="10" y="{height - 14}">{key}</text>', "</svg>", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    with TemporaryDirectory() as place:
        Path(sys.argv[1]).write_text(drawn(all_pairs(SHAPES[0], Path(place))), encoding="utf-8")
