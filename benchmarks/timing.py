"""Timing in turns: every subject is timed in every round, so that a change of the machine's mood meets all of them."""

import math
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

SAMPLE_SECONDS = 0.02
WARM_UP_SECONDS = 0.012
WARM_UP_CALLS = 3
QUIET_SHARE = 0.1
PROC_STAT = Path("/proc/stat")


@dataclass(frozen=True)
class Call:
    """One call of a subject."""

    run: Callable[[], object]
    products: int = 1
    """How many products one call makes: graphs hold many, so that their start counts little."""
    lap: int = 1
    """How many calls reach every copy of its weights: as many go untimed before all rounds, for the first is slow."""
    settle_seconds: float = 0.0
    """How long its threads go on spinning after its last call: the next subject waits that long."""


def seconds_each(call: Call, sample_seconds: float = SAMPLE_SECONDS) -> float:
    """Seconds a product, over calls that last at least sample_seconds together.

    The untimed calls before them are not for the caches alone: threads of the library that ran before go on spinning
    for a while and would be paid for by this one.
    """
    begin = last = time.perf_counter()
    for calls in range(1, WARM_UP_CALLS + 1):
        call.run()
        now = time.perf_counter()
        took, last = now - last, now
        if now - begin > WARM_UP_SECONDS and calls > 1:
            break
        if now - begin > 2 * WARM_UP_SECONDS:
            break
    repeats = max(1, math.ceil(sample_seconds / max(took, 1e-7)))
    run = call.run
    begin = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - begin) / (repeats * call.products)


@dataclass(frozen=True)
class Rounds:
    """What `alternate` saw."""

    seconds: dict[str, list[float]]
    """A product's seconds, of every subject in every round."""
    others_share: float
    """How much of the machine's CPU time went to other processes meanwhile: the median round's."""


def alternate(calls: Mapping[str, Call], rounds: int, sample_seconds: float = SAMPLE_SECONDS) -> Rounds:
    """The order within a round is shuffled, the same in each run.

    While other processes disturb, up to half as many rounds again are made, and the least disturbed ones kept.
    """
    shuffle = random.Random(len(calls)).shuffle  # noqa: S311, an order is no secret
    names = list(calls)
    for call in calls.values():
        for _ in range(call.lap):
            call.run()
    made: list[tuple[float, dict[str, float]]] = []
    while sum(share < QUIET_SHARE for share, _ in made) < rounds and len(made) < rounds + (rounds + 1) // 2:
        shuffle(names)
        before = others_seconds()
        begin = time.perf_counter()
        took = {}
        for name in names:
            took[name] = seconds_each(calls[name], sample_seconds)
            time.sleep(calls[name].settle_seconds)
        cpu_seconds = (time.perf_counter() - begin) * (os.cpu_count() or 1)
        made.append(((others_seconds() - before) / cpu_seconds, took))
    kept = sorted(made, key=lambda entry: entry[0])[:rounds]
    return Rounds({name: [took[name] for _, took in kept] for name in calls}, median(share for share, _ in kept))


def others_seconds() -> float:
    """CPU time of all processes but this one since the start, where the system tells (/proc/stat), else 0."""
    try:
        user, nice, system, _idle, _wait, irq, soft_irq, stolen = map(int, PROC_STAT.read_text().split()[1:9])
    except OSError:
        return 0.0
    busy = user + nice + system + irq + soft_irq + stolen
    return busy / os.sysconf("SC_CLK_TCK") - time.process_time()


def ratio(ours: list[float], theirs: list[float]) -> float:
    """How many times faster we are: the median over rounds of their time by ours in the same round."""
    return median(t / o for o, t in zip(ours, theirs, strict=True))


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))
