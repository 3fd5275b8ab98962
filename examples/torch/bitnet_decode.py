"""A packed BitNet model in transformers, before and after one line: time of a token, memory, logits, greedy text.

    python examples/torch/bitnet_decode.py [--layers 8] [--vocabulary 128256] [--threads 2] [--tokens 8] [--json FILE]

The model has the shape of BitNet b1.58 2B-4T (hidden 2560, intermediate 6912, 20 heads, 5 of keys), fewer layers, and
random weights, in bfloat16. It is written as a float folder, quantized by bnq to the folder form that transformers
loads as `autobitlinear`, loaded by transformers, timed, given to `bnq.torch.optimize`, and timed again.
"""

import argparse
import gc
import json
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")  # transformers decorates parts of BitNet with torch.compile

import torch
import transformers

import bnq
from bnq.torch import PackedLinear, optimize

SHAPE = {
    "hidden_size": 2560,
    "intermediate_size": 6912,
    "num_attention_heads": 20,
    "num_key_value_heads": 5,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def write_packed(folder: Path, layers: int, vocabulary: int) -> Path:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    config = transformers.BitNetConfig(num_hidden_layers=layers, vocab_size=vocabulary, **SHAPE)
    model = transformers.BitNetForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder / "float")
    del model
    bnq.quantize_checkpoint(folder / "float", folder / "packed", "ternary", strict=True)
    return folder / "packed"


def decode_ms(model: Any, rounds: int) -> tuple[float, float]:
    """Median milliseconds of one token behind 16 others; and of its quantized linear layers alone."""
    kinds = ("AutoBitLinear", "BitLinear", "PackedLinear")
    linear = [m for n, m in model.named_modules() if type(m).__name__ in kinds and not n.endswith("lm_head")]
    spent = [0.0]

    def before(*_: Any) -> None:
        spent[0] -= time.perf_counter()

    def after(*_: Any) -> None:
        spent[0] += time.perf_counter()

    ids = torch.arange(3, 19)[None]
    whole, layers = [], []
    with torch.inference_mode():
        cache = model(ids, use_cache=True).past_key_values
        for timed_layers in (False, True):
            hooks = [h for m in linear for h in (m.register_forward_pre_hook(before), m.register_forward_hook(after))]
            if not timed_layers:
                for hook in hooks:
                    hook.remove()
            for _ in range(rounds):
                spent[0] = 0.0
                start = time.perf_counter()
                model(ids[:, :1], past_key_values=cache, use_cache=True)
                (layers if timed_layers else whole).append(spent[0] if timed_layers else time.perf_counter() - start)
            for hook in hooks:
                hook.remove()
    return 1e3 * statistics.median(whole), 1e3 * statistics.median(layers)


def tensors_mb(model: Any) -> float:
    """Its parameters and buffers, each memory once."""
    tensors = {t.data_ptr(): t.nbytes for t in (*model.parameters(), *model.buffers())}
    return sum(tensors.values()) / 1e6


def resident_mb() -> float:
    """Memory of this process that is in use now, mapped files counted."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--vocabulary", type=int, default=128256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    empty = resident_mb()
    with tempfile.TemporaryDirectory() as place:
        folder = write_packed(Path(place), options.layers, options.vocabulary)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    ids = torch.arange(3, 19)[None]
    greedy = {"max_new_tokens": options.tokens, "min_new_tokens": options.tokens, "do_sample": False}
    with torch.inference_mode():
        logits = model(ids).logits.float()
        text = model.generate(ids, **greedy)[0, 16:]
        before = decode_ms(model, options.rounds)
        memory, tensors = [resident_mb() - empty], [tensors_mb(model)]
        print(optimize(model, head=8))
        after = decode_ms(model, options.rounds)
        memory.append(resident_mb() - empty)
        tensors.append(tensors_mb(model))
        difference = ((model(ids).logits.float() - logits).norm() / logits.norm()).item()
        same = (model.generate(ids, **greedy)[0, 16:] == text).tolist()
    equal = same.index(False) if False in same else len(same)
    low = sum(m.weight.nbytes + m.scales.nbytes for m in model.modules() if isinstance(m, PackedLinear))
    print(f"\n{'':26}{'transformers':>14}{'bnq':>10}{'times faster':>14}")
    print(f"{'one token, ms':26}{before[0]:14.1f}{after[0]:10.1f}{before[0] / after[0]:14.1f}")
    print(f"{'its low-bit layers, ms':26}{before[1]:14.1f}{after[1]:10.1f}{before[1] / after[1]:14.1f}")
    print(f"{'its tensors, MB':26}{tensors[0]:14,.0f}{tensors[1]:10,.0f}{tensors[0] / tensors[1]:14.1f}")
    print(f"{'memory of the process, MB':26}{memory[0]:14,.0f}{memory[1]:10,.0f}{memory[0] / memory[1]:14.1f}")
    print(f"\nlogits differ by {difference:.2g} of their norm; {equal} of {len(same)} greedy tokens are equal")
    print(f"{options.threads} threads, {options.layers} layers, packed {low:,} bytes")
    if options.json:
        row = {
            "threads": options.threads,
            "before_ms": before,
            "after_ms": after,
            "memory_mb": memory,
            "tensors_mb": tensors,
            "logits": difference,
            "equal": equal,
        }
        options.json.write_text(json.dumps(row, indent=1) + "\n")


if __name__ == "__main__":
    main()
