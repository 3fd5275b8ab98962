"""Shared by the Python tests. torch and jax are there (tools/requirements.txt); bnq itself never imports them."""

import signal
from collections.abc import Iterator

import numpy as np
import pytest

import bnq


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # behind `&` in a script; a test sends itself one
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240601)


@pytest.fixture
def weights(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((24, 96), np.float32)


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """A test may set the number of threads; the next one starts as this one did."""
    before = bnq.num_threads()
    yield
    bnq.set_num_threads(before)
