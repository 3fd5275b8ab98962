"""Timing in turns: every subject is timed in every round, so that a change of the machine's mood meets all of them."""

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

SAMPLE_SECONDS = 0.02
WARM_UP_SECONDS = 0.012
WARM_UP_CALLS = 3


@dataclass(frozen=True)
class Call:
    """One call of a subject."""

    run: Callable[[], object]
    products: int = 1
    """How many products one call makes: graphs hold many, so that their start counts little."""


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


def alternate(calls: Mapping[str, Call], rounds: int, sample_seconds: float = SAMPLE_SECONDS) -> dict[str, list[float]]:
    """Seconds a product of every subject in every round. The order within a round is shuffled, the same in each run."""
    shuffle = random.Random(len(calls)).shuffle  # noqa: S311, an order is no secret
    samples: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for _ in range(rounds):
        shuffle(names)
        for name in names:
            samples[name].append(seconds_each(calls[name], sample_seconds))
    return samples


def ratio(ours: list[float], theirs: list[float]) -> float:
    """How many times faster we are: the median over rounds of their time by ours in the same round."""
    return median(t / o for o, t in zip(ours, theirs, strict=True))


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))
