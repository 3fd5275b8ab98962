"""llama.cpp itself loads what `bnq convert` writes, and its logits are those of its own arithmetic over our values.

Opt-in, since its package is built from source for minutes: `pip install llama-cpp-python==0.3.36`, then run this file.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from models import make_model
from ternary_folders import SIZES, add_tokenizer, folder_of
from torch import nn

import bnq

llama_cpp = pytest.importorskip("llama_cpp", reason="opt-in: pip install llama-cpp-python==0.3.36")

BLOCKS = {"tq1_0": 256, "tq2_0": 256, "q2_0": 32, "q8_0": 32, "q4_0": 32}
"""Activations that share a scale, with each type of weights: blocks of Q8_K, or of Q8_0."""


def quantized_activations(x: torch.Tensor, block: int) -> torch.Tensor:
    """Rounded to int8 by block, as ggml does it: absmax / 127 a block; Q8_0 keeps the scale in f16."""
    parts = x.reshape(-1, block)
    scales = parts.abs().amax(-1, keepdim=True) / 127
    codes = torch.where(scales > 0, (parts / scales).round(), torch.zeros_like(parts))
    stored = scales if block == 256 else scales.half().float()
    return (codes * stored).reshape(x.shape)


def logits_by_hand(folder: Path, tokens: list[int], block: int | None) -> np.ndarray:
    """transformers' float32 model; with `block` the inputs of its linear layers are rounded as ggml rounds them."""
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    if block is not None:
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear) and name != "lm_head":
                module.register_forward_pre_hook(lambda _, x: (quantized_activations(x[0], block),))
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].numpy()


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def logits_of_file(path: Path, tokens: list[int]) -> np.ndarray:
    """llama.cpp's own, with keys and values in f32."""
    llama = llama_cpp.Llama(
        str(path), n_ctx=64, n_threads=2, logits_all=True, verbose=False, type_k=0, type_v=0, flash_attn=False
    )
    llama.eval(tokens)
    return np.array(llama.scores[: len(tokens)])


@pytest.mark.parametrize("layout", BLOCKS)
@pytest.mark.parametrize("architecture", ["LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"])
def test_logits_are_those_of_its_own_arithmetic(architecture: str, layout: str, tmp_path: Path) -> None:
    """To 6e-7 with keys and values in f32, which is the order of sums, unless a code falls the other way: 1e-2 then.

    In f16 keys and values differ by some 2⁻¹¹, and many codes fall the other way: 2 to 3 % were seen.
    """
    source = folder_of(tmp_path / "in", architecture)
    add_tokenizer(source)
    bnq.convert(source, tmp_path / "out.gguf", layout)
    tokens = list(range(3, 23))
    got = logits_of_file(tmp_path / "out.gguf", tokens)
    need = logits_by_hand(source, tokens, BLOCKS[layout])
    print(f"{architecture} {layout}: {distance(got, need):.1e} from its arithmetic", end=", ")
    print(f"{distance(got, logits_by_hand(source, tokens, None)):.1e} from float32's")
    assert distance(got, need) < 1.5e-2
    other = logits_by_hand(folder_of(tmp_path / "other", architecture, scale=0.13), tokens, BLOCKS[layout])
    assert distance(got, other) > 2e-2, "a scale that is 4 % off would be seen"


SCHEMES = [
    "8",
    "8:tensor",
    "8:group(32)",
    "6",
    "4",
    "4:row",
    "3",
    "2",
    "ternary",
    "ternary:row",
    "ternary:group(64)",
    "1",
]


def floats_of(gguf: Path, source: Path, out: Path) -> Path:
    """The folder of the values that a GGUF file holds, whose scales were rounded to f16."""
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("*.safetensors"))
    bnq.convert(gguf, out / "codes", "i8")
    bnq.dequantize_checkpoint(out / "codes", out / "model.safetensors", dtype="f32")
    (out / "codes").unlink()
    return out


def require_run(folder: Path, scheme: str, most: float = 1.5e-2, **options: Any) -> None:
    """llama.cpp runs what bnq makes for it, in its own arithmetic, to 5e-7 unless a code falls the other way."""
    plan = bnq.quantize_checkpoint(folder / "in", folder / "out", scheme, target="llama.cpp", **options)
    done = bnq.convert(folder / "out", folder / "out.gguf", target="llama.cpp")
    assert done.layout == plan.target_layout
    tokens = list(range(3, 23))
    got = logits_of_file(folder / "out.gguf", tokens)
    floats = floats_of(folder / "out.gguf", folder / "in", folder / "floats")
    need = logits_by_hand(floats, tokens, BLOCKS[str(done.layout)])
    print(f"{scheme} as {done.layout}: {distance(got, need):.1e} from its arithmetic", end=", ")
    print(f"{distance(got, logits_by_hand(floats, tokens, None)):.1e} from float32's")
    assert distance(got, need) < most


@pytest.mark.filterwarnings("ignore:int2")
@pytest.mark.parametrize("inner", [512, 320])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_runs_what_its_target_takes(scheme: str, inner: int, tmp_path: Path) -> None:
    """An inner width of 320 is a multiple of 64 alone, which decides between tq2_0 and q2_0."""
    make_model("LlamaForCausalLM", **(SIZES | {"intermediate_size": inner})).save_pretrained(tmp_path / "in")
    add_tokenizer(tmp_path / "in")
    require_run(tmp_path, scheme)


@pytest.mark.parametrize("options", [{"head": "8"}, {"embeddings": "8"}, {"head": "8", "embeddings": "8"}], ids=str)
def test_head_and_embeddings_may_be_quantized(options: dict[str, str], tmp_path: Path) -> None:
    """Inputs that are codes times one scale lie between two codes of the activations often: many fall the other way."""
    make_model("LlamaForCausalLM", **SIZES).save_pretrained(tmp_path / "in")
    add_tokenizer(tmp_path / "in")
    require_run(tmp_path, "8", most=3e-2, **options)
