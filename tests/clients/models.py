"""Small models of every architecture on the list, quantized by the command line, for transformers as it is."""

import os
import subprocess
from pathlib import Path
from typing import Any

os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")  # transformers decorates parts of BitNet with torch.compile

import torch
import transformers

import bnq

SIZES = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
DECODER = SIZES | {"num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "LlamaForCausalLM": ("LlamaConfig", DECODER),
    "MistralForCausalLM": ("MistralConfig", DECODER | {"sliding_window": None}),
    "Qwen2ForCausalLM": ("Qwen2Config", DECODER),
    "Qwen3ForCausalLM": ("Qwen3Config", DECODER | {"head_dim": 16}),
    "BitNetForCausalLM": ("BitNetConfig", DECODER),
    "BertModel": ("BertConfig", SIZES),
    "BertForMaskedLM": ("BertConfig", SIZES),
    "BertForSequenceClassification": ("BertConfig", SIZES | {"num_labels": 3}),
}
"""Falcon3 is a LlamaForCausalLM with a head of its own size and no bias."""


def make_model(architecture: str, dtype: torch.dtype = torch.float32, **changed: Any) -> Any:
    config_name, sizes = CONFIGS[architecture]
    torch.manual_seed(len(architecture))
    config = getattr(transformers, config_name)(**(sizes | changed))
    model = getattr(transformers, architecture)(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2:
                parameter.normal_(0, 0.08)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.5)  # zeros would hide a bias that gets lost
    return model.to(dtype)


def run_bnq(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [os.environ["BNQ_CLI"], *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == code, done.stderr
    return done


def load(folder: Path, architecture: str, **options: Any) -> Any:
    """Loaded by transformers, which has to find every key, and no other."""
    cls = getattr(transformers, architecture)
    model, info = cls.from_pretrained(folder, output_loading_info=True, **options)
    assert not info["missing_keys"], info
    assert not info["unexpected_keys"], info
    assert not info["mismatched_keys"], info
    return model.eval()


def stored(folder: Path) -> dict[str, Any]:
    """What the files hold, by bnq."""
    tensors: dict[str, Any] = {}
    for path in folder.glob("*.safetensors"):
        tensors |= bnq.load(path)
    return tensors


def quantized_modules(tensors: dict[str, Any]) -> dict[str, Any]:
    return {n.removesuffix(".weight"): t for n, t in tensors.items() if isinstance(t, bnq.QuantizedTensor)}
