"""One training step with BitLinear against one with nn.Linear: an MLP 1024-4096-1024 on 512 tokens, in turns.

python benchmarks/qat_step.py [--threads 2] [--rounds 15] [--scheme ternary]
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bnq.torch import prepare_qat_

WIDTH, INNER, TOKENS = 1024, 4096, 512


def step_of(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)

    def step() -> None:
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--scheme", default="ternary")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    x, y = torch.randn(2, TOKENS, WIDTH)
    model = nn.Sequential(nn.Linear(WIDTH, INNER), nn.ReLU(), nn.Linear(INNER, WIDTH))
    steps = {
        "nn.Linear": step_of(copy.deepcopy(model), x, y),
        "BitLinear": step_of(prepare_qat_(copy.deepcopy(model), options.scheme), x, y),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(options.rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    medians = {name: 1e3 * statistics.median(values[2:]) for name, values in times.items()}
    for name, ms in medians.items():
        print(f"{name:10}{ms:9.1f} ms a step")
    share = medians["BitLinear"] / medians["nn.Linear"]
    print(f"{options.scheme}, {options.threads} threads: {share:.2f} of the float step")


if __name__ == "__main__":
    main()
