"""The number of threads is torch's while nobody has said another. Each case is a process: saying one is for good."""

import os
import subprocess
import sys

import pytest

START = """
import numpy as np, torch, bnq
cpus = bnq.num_threads()
linear = bnq.Linear(bnq.quantize(np.ones((4, 8), np.float32), 8))
x = torch.ones(2, 8)
"""


def run(code: str, **environment: str) -> list[str]:
    known = {key: value for key, value in os.environ.items() if key != "BNQ_NUM_THREADS"}
    command = [sys.executable, "-W", "error", "-c", START + code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=known | environment)
    return done.stdout.split()


@pytest.mark.parametrize("call", ["linear(x)", "bnq.quantize(x, 8)", "linear(x.t().contiguous().t())"])
def test_torchs_number_is_followed(call: str) -> None:
    code = f"torch.set_num_threads(1); {call}; print(bnq.num_threads())\n"
    code += f"torch.set_num_threads(2); {call}; {call}; print(bnq.num_threads(), min(2, cpus))"
    one, two, most = run(code)
    assert (one, two) == ("1", most)


def test_arrays_of_numpy_ask_nobody() -> None:
    assert run("torch.set_num_threads(1); linear(x.numpy()); print(bnq.num_threads() == cpus)") == ["True"]


def test_never_more_than_there_are_cpus() -> None:
    assert run("torch.set_num_threads(64); linear(x); print(bnq.num_threads() == cpus)") == ["True"]


def test_a_choice_wins() -> None:
    code = "bnq.set_num_threads(3); torch.set_num_threads(1); linear(x); linear(x); print(bnq.num_threads())"
    assert run(code) == ["3"]


def test_the_environment_wins() -> None:
    code = "torch.set_num_threads(1); linear(x); linear(x); print(bnq.num_threads())"
    assert run(code, BNQ_NUM_THREADS="5") == ["5"]
