"""Model folders of floats that are ternary already, with a tokenizer if asked for."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from models import make_model
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SIZES = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 2}


def folder_of(path: Path, architecture: str, scale: float = 0.125, **changed: Any) -> Path:
    """A model whose linear weights are ternary, as floats."""
    if architecture == "Qwen3ForCausalLM":
        changed = {"head_dim": 64} | changed
    tied = {"tie_word_embeddings": architecture == "BitNetForCausalLM"}
    model = make_model(architecture, **(SIZES | tied | changed))
    rng = np.random.default_rng(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("_proj.weight"):
                codes = rng.integers(-1, 2, tuple(parameter.shape)).astype(np.float32)
                parameter.copy_(torch.from_numpy(codes * np.float32(scale)))
            if "norm" in name:
                parameter.copy_(torch.from_numpy(rng.uniform(0.5, 1.5, parameter.shape).astype(np.float32)))
    model.save_pretrained(path)
    return path


def add_tokenizer(folder: Path, pattern: str | None = "llama") -> Tokenizer:
    regex = {
        "llama": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+",
        "other": r"\s+|\S+",
    }
    tokenizer = Tokenizer(models.BPE())
    bytes_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    if pattern is None:
        tokenizer.pre_tokenizer = bytes_level
    else:
        split = pre_tokenizers.Split(Regex(regex[pattern]), "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=90, special_tokens=["<s>", "</s>"], show_progress=False,
                                  initial_alphabet=[*"abcdefghijklmnopqrstuvwxyz", "Ġ"])  # fmt: skip
    tokenizer.train_from_iterator(["the cat sat on the mat", "the rat sat on the cat"] * 4, trainer)
    tokenizer.add_tokens(["<mark>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_bos_token": True, "chat_template": "{{ x }}"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return tokenizer
