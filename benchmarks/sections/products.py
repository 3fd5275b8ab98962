"""Products of tokens with one layer's weights: us and every rival in turns."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from rivals import OURS, RIVALS
from rivals.protocol import Bound, Layers, RefusedError, Rival, Weight, copies_for
from timing import Call, alternate

import bnq

from . import Row, Settings

SHAPES = ((2560, 2560), (6912, 2560), (2560, 6912), (4096, 4096))
QUICK_SHAPES = ((6912, 2560),)
FEW_SHAPES = ((6912, 2560),)
ON_FEW_SHAPES = ("torch fp32", "torch bf16", "torchao int8 compiled")
"""Slow to run or to compile, and far from the others: they get one shape, and the table says so."""
LARGEST_ERROR = 0.05
"""Above it a subject computes something else, and its speed means nothing."""


@dataclass(frozen=True)
class Case:
    """One row of the table: how many tokens, and from where the weights come."""

    tokens: int
    ring: bool = False


CASES = (Case(1, ring=True), Case(1), Case(8), Case(32), Case(128), Case(512))
AVX2_CASES = (Case(1, ring=True), Case(32), Case(128), Case(512))
AVX2_SUBJECTS = ("bnq ternary", "torch dynamic int8")


def measure(settings: Settings) -> list[Row]:
    """Every subject on every case."""
    return measure_cases(settings, CASES, (*OURS, *RIVALS))


def measure_avx2(settings: Settings) -> list[Row]:
    """The environment forces AVX2 on both sides: see run.py."""
    return measure_cases(settings, AVX2_CASES, [r for r in (*OURS, *RIVALS) if r.name in AVX2_SUBJECTS])


def measure_cases(settings: Settings, cases: Sequence[Case], subjects: Sequence[Rival]) -> list[Row]:
    rows: list[Row] = []
    present = [r for r in subjects if not r.missing()]
    rows += [{"subject": r.name, "skipped": r.missing()} for r in subjects if r.missing()]
    for shape in QUICK_SHAPES if settings.quick else SHAPES:
        weight = Weight.random(*shape)
        takes_part = [r for r in present if r.name not in ON_FEW_SHAPES or shape in FEW_SHAPES]
        begin = time.perf_counter()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            layers = dict(zip(takes_part, pool.map(partial(made, weight), takes_part), strict=True))
        say(f"  {shape[0]}x{shape[1]}: weights made in {time.perf_counter() - begin:.0f} s")
        for case in cases:
            begin = time.perf_counter()
            rows += measure_case(settings, weight, case, layers)
            say(f"  {shape[0]}x{shape[1]}, {case.tokens} tokens: {time.perf_counter() - begin:.0f} s")
    return rows


def made(weight: Weight, rival: Rival) -> Layers:
    return rival.make(weight, copies_for(rival, weight))


def measure_case(settings: Settings, weight: Weight, case: Case, layers: Mapping[Rival, Layers]) -> list[Row]:
    x = torch.randn(case.tokens, weight.shape[1], generator=torch.Generator().manual_seed(case.tokens))
    reference = x @ weight.as_float().T
    base = {"shape": list(weight.shape), "tokens": case.tokens, "weights": "memory" if case.ring else "cache"}
    base["threads"] = settings.threads
    rows: list[Row] = []
    calls: dict[Rival, Call] = {}
    errors: dict[Rival, float] = {}
    for rival, layer in layers.items():
        try:
            bound = layer.bind(x, ring=case.ring)
        except RefusedError as refusal:
            rows.append({**base, "subject": rival.name, "refused": str(refusal)})
            continue
        calls[rival], errors[rival] = bound.call, relative_error(bound, reference)
    before = bnq.measure_roofs(settings.threads)
    timed = alternate({r.name: call for r, call in calls.items()}, settings.rounds)
    roofs = better_of(before, bnq.measure_roofs(settings.threads))
    for rival in calls:
        seconds = timed.seconds[rival.name]
        row = {**base, "subject": rival.name, "relative_error": errors[rival], "seconds": seconds}
        row["right"] = errors[rival] <= LARGEST_ERROR
        row["gmac_per_s"] = weight.codes.size * case.tokens / median(seconds) / 1e9
        row["others_share"] = timed.others_share
        row["bytes_per_weight"] = rival.bytes_per_weight
        rows.append(row | share_of_roof(row, weight.codes.size, roofs))
    return rows


def better_of(a: bnq.Roofs, b: bnq.Roofs) -> bnq.Roofs:
    """A neighbour on the machine only ever lowers a roof."""
    read = max(a.read_gb_per_s, b.read_gb_per_s)
    return bnq.Roofs(a.threads, read, max(a.int8_gmac_per_s, b.int8_gmac_per_s))


def relative_error(bound: Bound, reference: torch.Tensor) -> float:
    """‖y - reference‖ / ‖reference‖, NaN becoming infinite: an output that nobody wrote is an error without end."""
    error = float((bound.result() - reference).norm() / reference.norm())
    return error if error == error else float("inf")  # noqa: PLR0124, NaN is not itself


def share_of_roof(row: Row, weights: int, roofs: bnq.Roofs) -> Row:
    """Which roof leaves the least speed, and how much of it is reached.

    Weights in memory have to be read once; integer products meet the int8 peak. Float products from the cache meet
    neither.
    """
    read = weights * row["bytes_per_weight"] / (roofs.read_gb_per_s * 1e9) if row["weights"] == "memory" else 0.0
    is_integer = row["bytes_per_weight"] <= 1
    multiplied = weights * row["tokens"] / (roofs.int8_gmac_per_s * 1e9) if is_integer else 0.0
    found = {"read_gb_per_s": roofs.read_gb_per_s, "int8_gmac_per_s": roofs.int8_gmac_per_s}
    if max(read, multiplied) == 0:
        return found | {"roof": None, "share_of_roof": None}
    share = max(read, multiplied) / median(row["seconds"])
    return found | {"roof": "read" if read > multiplied else "int8", "share_of_roof": share}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
