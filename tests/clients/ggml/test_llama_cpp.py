"""llama.cpp itself loads what `bnq convert` writes, and its logits are those of its own arithmetic over our values.

Opt-in, since its package is built from source for minutes: `pip install llama-cpp-python==0.3.36`, then run this file.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from ternary_folders import add_tokenizer, folder_of
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
    llama = llama_cpp.Llama(
        str(tmp_path / "out.gguf"),
        n_ctx=64,
        n_threads=2,
        logits_all=True,
        verbose=False,
        type_k=0,
        type_v=0,
        flash_attn=False,
    )
    llama.eval(tokens)
    got = np.array(llama.scores[: len(tokens)])
    need = logits_by_hand(source, tokens, BLOCKS[layout])
    print(f"{architecture} {layout}: {distance(got, need):.1e} from its arithmetic", end=", ")
    print(f"{distance(got, logits_by_hand(source, tokens, None)):.1e} from float32's")
    assert distance(got, need) < 1.5e-2
    other = logits_by_hand(folder_of(tmp_path / "other", architecture, scale=0.13), tokens, BLOCKS[layout])
    assert distance(got, other) > 2e-2, "a scale that is 4 % off would be seen"
