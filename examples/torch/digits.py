"""Handwritten digits with ternary weights: trained with BitLinear, against its float twin, packed, and run packed.

    python examples/torch/digits.py [--seeds 10] [--epochs 60] [--plot FILE] [--json FILE]

scikit-learn's 1797 digits of 8 x 8 pixels; 64-128-128-10 with RMSNorm before each layer; 3/4 of them train. Needs torch
and scikit-learn (and matplotlib for --plot).
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from bnq.torch import convert_, prepare_qat_

WIDTH = 128
BATCH = 64


def make_model() -> nn.Module:
    return nn.Sequential(
        nn.RMSNorm(64),
        nn.Linear(64, WIDTH),
        nn.ReLU(),
        nn.RMSNorm(WIDTH),
        nn.Linear(WIDTH, WIDTH),
        nn.ReLU(),
        nn.RMSNorm(WIDTH),
        nn.Linear(WIDTH, 10),
    )


def data(seed: int) -> list[Tensor]:
    digits: Any = load_digits()
    parts = train_test_split(digits.data / 16.0, digits.target, test_size=0.25, random_state=seed)
    return [torch.tensor(part, dtype=torch.float32 if part.ndim == 2 else torch.long) for part in parts]


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return 100 * (model.eval()(x).argmax(1) == y).float().mean().item()


def train(model: nn.Module, parts: list[Tensor], epochs: int, seed: int) -> list[float]:
    """Test accuracy after each epoch."""
    x, x_test, y, y_test = parts
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    steps = epochs * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    order = torch.Generator().manual_seed(seed)
    curve = []
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(len(x), generator=order).split(BATCH):
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        curve.append(accuracy(model, x_test, y_test))
    return curve


def run(seed: int, epochs: int) -> dict[str, Any]:
    parts = data(seed)
    curves = {}
    for kind in ("float", "ternary"):
        torch.manual_seed(seed)
        model = make_model()
        if kind == "ternary":
            prepare_qat_(model, "ternary")
        curves[kind] = train(model, parts, epochs, seed)
    coverage = convert_(model)
    before, after = (sum(getattr(layer, size) for layer in coverage.layers) for size in ("bytes_before", "bytes_after"))
    return {
        "seed": seed,
        "float": curves["float"][-1],
        "ternary": curves["ternary"][-1],
        "packed": accuracy(model, parts[1], parts[3]),
        "bytes_before": before,
        "bytes_after": after,
        "curves": curves,
    }


def plot(results: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415  who draws nothing need not have it

    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    for kind, color in (("float", "#8c9aab"), ("ternary", "#3a6ea8")):
        curves = torch.tensor([result["curves"][kind] for result in results])
        epochs = range(1, curves.shape[1] + 1)
        axes.plot(epochs, curves.mean(0), color=color, label=kind)
        axes.fill_between(epochs, curves.min(0).values, curves.max(0).values, color=color, alpha=0.2)
    axes.set(xlabel="epoch", ylabel="test accuracy, %", ylim=(85, 100), title=f"Digits, {len(results)} seeds")
    axes.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"{'seed':>6}{'float %':>10}{'ternary %':>11}{'packed %':>10}")
    results = []
    for seed in range(options.seeds):
        result = run(seed, options.epochs)
        results.append(result)
        print(f"{seed:6}{result['float']:10.2f}{result['ternary']:11.2f}{result['packed']:10.2f}", flush=True)
    mean = {kind: sum(r[kind] for r in results) / len(results) for kind in ("float", "ternary", "packed")}
    print(f"{'mean':>6}{mean['float']:10.2f}{mean['ternary']:11.2f}{mean['packed']:10.2f}")
    first = results[0]
    print(f"ternary minus float: {mean['ternary'] - mean['float']:+.2f} points; ", end="")
    print(f"layers {first['bytes_before']:,} -> {first['bytes_after']:,} bytes")
    if options.plot:
        plot(results, options.plot)
    if options.json:
        options.json.write_text(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
