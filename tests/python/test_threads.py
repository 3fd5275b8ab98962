"""The same bytes for every number of threads and every floating-point state; other Python threads run meanwhile."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

import bnq

SCHEMES = ["8", "8:tensor", "4", "ternary", "ternary:row", "binary", "8:group(100)"]


def everything(w: np.ndarray, scheme: str) -> list[bytes]:
    q = bnq.quantize(w, scheme)
    y = bnq.Linear(q)(w[:3])
    arrays = [q.codes, q.scales, q.dequantize(), bnq.pack(q).data, y, bnq.quantize_activations(w).codes]
    return [np.ascontiguousarray(a).tobytes() for a in arrays]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_same_bytes_for_1_2_and_7_threads(scheme: str, rng: np.random.Generator) -> None:
    w = rng.standard_normal((300, 1000)).astype(np.float32)
    results = []
    for threads in (1, 2, 7):
        bnq.set_num_threads(threads)
        assert bnq.num_threads() == threads
        results.append(everything(w, scheme))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_flush_to_zero_changes_nothing(scheme: str, rng: np.random.Generator) -> None:
    w = rng.standard_normal((64, 1000)).astype(np.float32)
    w[::2] *= np.float32(1e-39)  # subnormal rows: a flushed one would be all zero
    before = everything(w, scheme)
    assert torch.set_flush_denormal(True)
    try:
        assert everything(w, scheme) == before
        tiny = torch.tensor([1e-39])
        assert (tiny * 1).item() == 0  # the caller's own state is as it was
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.parametrize("count", [0, -1, 1025, 2.0, "2", True, None, 10**30])
def test_impossible_numbers_of_threads(count: object) -> None:
    with pytest.raises(bnq.InvalidArgumentError, match="from 1 to 1024"):
        bnq.set_num_threads(count)


@pytest.fixture
def python_never_switches() -> Iterator[None]:
    """Python hands the GIL over only where a call releases it, not after its usual 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


def ticks_during(work: Callable[[], object]) -> int:
    """How often another Python thread came to run while `work` did."""
    ticks: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    thread = threading.Thread(target=tick)
    thread.start()
    time.sleep(0.005)
    begin = time.perf_counter()
    work()
    end = time.perf_counter()
    done.set()
    thread.join()
    return sum(begin < t < end for t in ticks)


@pytest.mark.usefixtures("python_never_switches")
def test_ticks_are_counted_right() -> None:
    assert ticks_during(lambda: sum(range(3_000_000))) == 0  # holds the GIL
    assert ticks_during(lambda: time.sleep(0.05)) > 0  # does not


@pytest.mark.usefixtures("python_never_switches")
def test_the_gil_is_released(rng: np.random.Generator) -> None:
    bnq.set_num_threads(1)
    w = rng.standard_normal((2048, 4096), np.float32)
    q = bnq.quantize(w, "4:row")
    p = bnq.pack(q)
    linear = bnq.Linear(q)
    for work in (  # each takes some milliseconds
        lambda: bnq.quantize(w, "8"),
        lambda: bnq.report(w, q),
        q.dequantize,
        lambda: bnq.pack(q),
        lambda: bnq.unpack(p),
        lambda: linear(w),
    ):
        # A busy machine may not run the other thread in time; with the GIL held it never would.
        assert any(ticks_during(work) for _ in range(20))


def test_many_python_threads_share_one_layer(rng: np.random.Generator) -> None:
    w = rng.standard_normal((64, 256)).astype(np.float32)
    linear = bnq.Linear(bnq.quantize(w, 8))
    expected = linear(w)
    wrong: list[object] = []

    def work() -> None:
        wrong.extend(i for i in range(50) if not np.array_equal(linear(w), expected))
        wrong.extend(i for i in range(50) if bnq.quantize(w, 8) != bnq.quantize(w.copy(), 8))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_roofs_are_speeds_and_take_numbers_of_threads():
    roofs = bnq.measure_roofs(1)
    assert roofs.threads == 1
    assert roofs.read_gb_per_s > 0
    assert roofs.int8_gmac_per_s > 0
    with pytest.raises(bnq.InvalidArgumentError, match="from 1 to 1024"):
        bnq.measure_roofs(0)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_threads_shared_with_torch_give_the_same_bits(threads):
    layer = bnq.Linear(bnq.quantize(np.random.default_rng(1).normal(size=(515, 4099)).astype(np.float32), "ternary"))
    x = np.random.default_rng(2).normal(size=(9, 4099)).astype(np.float32)
    bnq.set_num_threads(1)
    expected = layer(x)
    bnq.set_num_threads(threads)
    for _ in range(20):
        torch.mm(torch.ones(256, 256), torch.ones(256, 256))  # wakes torch's own threads
        np.testing.assert_array_equal(layer(torch.from_numpy(x)).numpy(), expected)


FORK = """
import os, numpy as np, torch, bnq
layer = bnq.Linear(bnq.quantize(np.ones((515, 4099), np.float32), "ternary"))
x = torch.ones(9, 4099)
bnq.set_num_threads(2)
expected = layer(x)
child = os.fork()
if child == 0:
    again = bnq._core.share_openmp_threads()  # a child that asks for them once more does not get them
    os._exit(0 if torch.equal(layer(x), expected) and not again else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_does_not_wait_for_the_threads_of_its_parent():
    """OpenMP threads do not survive a fork. A process of its own, because this one has threads of others too."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], timeout=60, check=True)
