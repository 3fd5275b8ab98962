"""Quantizing itself: weights that do not fit the caches, and tokens that do."""

from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from rivals.protocol import missing_modules
from timing import Call, alternate

import bnq

from . import Row, Settings

WEIGHT = (2560, 6912)
TOKENS = (64, 6912)


def measure(settings: Settings) -> list[Row]:
    """10⁹ elements a second. The first subject of a group is what the others are compared with."""
    torch.manual_seed(0)
    w, x = torch.randn(WEIGHT) * 0.02, torch.randn(TOKENS)
    half = w.to(torch.bfloat16)
    groups: dict[str, dict[str, Callable[[], object]]] = {
        "int8 rows": {
            "bnq.quantize": lambda: bnq.quantize(w, "int8"),
            "torch.compile": compiled_rows(w),
        },
        "int8 rows, bf16 input": {
            "bnq.quantize bf16": lambda: bnq.quantize(half, "int8"),
            "bnq.quantize f32": lambda: bnq.quantize(w, "int8"),
        },
        "ternary, packed to 2 bits": {
            "bnq.pack(bnq.quantize)": lambda: bnq.pack(bnq.quantize(w, "ternary"), "u2_hf"),
            **transformers_path(w),
        },
        "ternary packed, bf16 input": {
            "bnq bf16": lambda: bnq.pack(bnq.quantize(half, "ternary"), "u2_hf"),
            "bnq f32": lambda: bnq.pack(bnq.quantize(w, "ternary"), "u2_hf"),
        },
        "int8 tokens": {
            "bnq.quantize_activations": lambda: bnq.quantize_activations(x),
            "torch.compile": compiled_rows(x),
        },
    }
    rows: list[Row] = []
    for group, subjects in groups.items():
        shape = TOKENS if group == "int8 tokens" else WEIGHT
        timed = alternate({name: Call(run) for name, run in subjects.items()}, settings.rounds)
        for name, s in timed.seconds.items():
            speed = shape[0] * shape[1] / median(s) / 1e9
            row = {"group": group, "subject": name, "threads": settings.threads, "shape": list(shape), "seconds": s}
            rows.append(row | {"gelem_per_s": speed, "others_share": timed.others_share})
    return rows


def int8_rows(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The formula of int8-absmax:row and of int8-token, as anyone would write it."""
    scales = w.abs().amax(1, keepdim=True).clamp(min=1e-5) / 127
    return (w / scales).round().clamp(-128, 127).to(torch.int8), scales


def compiled_rows(w: torch.Tensor) -> Callable[[], Any]:
    compiled = torch.compile(int8_rows)
    compiled(w)
    return lambda: compiled(w)


def transformers_path(w: torch.Tensor) -> dict[str, Callable[[], object]]:
    """absmean as in its BitLinear, then its own pack_weights."""
    if missing_modules("transformers"):
        return {}
    from transformers.integrations.bitnet import pack_weights  # noqa: PLC0415, slow import

    def run() -> object:
        scale = 1.0 / w.abs().mean().clamp_(min=1e-5)
        return pack_weights((w * scale).round().clamp(-1, 1)), scale

    return {"transformers pack_weights": run}
