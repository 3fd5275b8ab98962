"""Our layer and a torch product in turns in one process, against each alone: do their threads disturb each other?"""

import time
from collections.abc import Callable
from statistics import median

import torch

import bnq

from . import Row, Settings

SAMPLE_SECONDS = 0.1


def measure(settings: Settings) -> list[Row]:
    """What each side loses, as a share of its time alone. Neither fits the second-level cache, both fit the third."""
    w, x = torch.randn(6912, 2560) * 0.02, torch.randn(32, 2560)
    a, b = torch.randn(256, 1024), torch.randn(1024, 1024)
    layer = bnq.Linear(bnq.quantize(w, "ternary"))
    ours, theirs = (lambda: layer(x)), (lambda: a @ b)
    sides: dict[str, dict[str, list[float]]] = {"bnq.Linear": {}, "torch matmul": {}}
    for _ in range(3 * settings.rounds):
        for name, run in (("bnq.Linear", ours), ("torch matmul", theirs)):
            sides[name].setdefault("alone", []).append(alone(run))
        for name, seconds in zip(sides, in_turns(ours, theirs), strict=True):
            sides[name].setdefault("in_turns", []).append(seconds)
    return [
        {"subject": name, "threads": settings.threads, **times, "cost": cost(times)} for name, times in sides.items()
    ]


def cost(times: dict[str, list[float]]) -> float:
    return median(t / a for t, a in zip(times["in_turns"], times["alone"], strict=True)) - 1


def alone(run: Callable[[], object]) -> float:
    """Median seconds a call, each call timed by itself, as in turns."""
    end = time.perf_counter() + SAMPLE_SECONDS
    return median(each(run) for _ in iter(lambda: time.perf_counter() < end, False))


def in_turns(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    end = time.perf_counter() + 2 * SAMPLE_SECONDS
    pairs = [(each(ours), each(theirs)) for _ in iter(lambda: time.perf_counter() < end, False)]
    return median(p[0] for p in pairs), median(p[1] for p in pairs)


def each(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin
