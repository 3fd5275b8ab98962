"""A small layer, 512 -> 256, one token: what a call costs when there is hardly anything to multiply."""

from statistics import median

import torch
from timing import Call, alternate
from torch import nn

import bnq

from . import Row, Settings

BASELINE = "nn.Linear float32"


def measure(settings: Settings) -> list[Row]:
    """Microseconds a call."""
    linear = nn.Linear(512, 256)
    x = torch.randn(1, 512)
    subjects = {BASELINE: linear}
    for scheme in ("ternary", "int8"):
        subjects[f"bnq.Linear {scheme}"] = bnq.Linear(
            bnq.quantize(linear.weight.detach(), scheme), linear.bias.detach()
        )
    subjects |= packed_layers(linear)
    calls = {name: Call(lambda layer=layer: layer(x)) for name, layer in subjects.items()}
    timed = alternate(calls, 3 * settings.rounds, 0.01)
    return [
        {
            "subject": name,
            "threads": settings.threads,
            "seconds": s,
            "us_per_call": median(s) * 1e6,
            "others_share": timed.others_share,
        }
        for name, s in timed.seconds.items()
    ]


def packed_layers(linear: nn.Linear) -> dict[str, nn.Module]:
    from bnq.torch import PackedLinear  # noqa: PLC0415

    return {f"PackedLinear {scheme}": PackedLinear.from_linear(linear, scheme) for scheme in ("ternary", "int8")}
