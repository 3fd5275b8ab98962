"""A character-level language model with ternary weights, against its float twin at equal budget.

    python examples/torch/characters.py [--seeds 3] [--steps 1500] [--plot FILE] [--json FILE]

Text: the language reference that comes with Python (pydoc). A transformer of two blocks, 128 wide, 64 characters of
context; in the ternary twin every linear layer but the head is a BitLinear. The last tenth is held out; losses
are nats a character on it. The trained model is packed and judged again. Needs torch (and matplotlib for --plot).
"""

import argparse
import json
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import torch
from torch import Tensor, nn

from bnq.torch import convert_, prepare_qat_

WIDTH, BLOCKS, HEADS, CONTEXT, BATCH = 128, 2, 4, 64, 32
EVERY = 100  # steps between two looks at the held-out text


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)
        self.norms = nn.ModuleList(nn.RMSNorm(size) for size in (WIDTH, WIDTH, WIDTH, 4 * WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        h = self.norms[0](x)
        q, k, v = (f(h).view(batch, length, HEADS, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(self.norms[1](mixed.transpose(1, 2).reshape(batch, length, WIDTH)))
        h = torch.relu(self.up(self.norms[2](x))) ** 2
        result: Tensor = x + self.down(self.norms[3](h))
        return result


class Model(nn.Module):
    def __init__(self, letters: int) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(letters, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.norm, self.lm_head = nn.RMSNorm(WIDTH), nn.Linear(WIDTH, letters, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids) + self.place(torch.arange(ids.shape[1]))
        logits: Tensor = self.lm_head(self.norm(self.blocks(x)))
        return logits


def corpus() -> tuple[Tensor, Tensor, str]:
    text = "\n".join(topics[name] for name in sorted(topics))
    letters = "".join(sorted(set(text)))
    ids = torch.tensor([letters.index(letter) for letter in text])
    cut = len(ids) * 9 // 10
    return ids[:cut], ids[cut:], letters


def windows(ids: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    at = starts[:, None] + torch.arange(CONTEXT + 1)
    rows = ids[at]
    return rows[:, :-1], rows[:, 1:]


def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())


def held_out(model: nn.Module, ids: Tensor, batches: int) -> float:
    starts = torch.arange(0, len(ids) - CONTEXT - 1, CONTEXT)
    starts = starts[:: max(1, len(starts) // (batches * BATCH))]
    with torch.no_grad():
        losses = [loss_of(model.eval(), *windows(ids, part)) for part in starts.split(BATCH) if len(part) == BATCH]
    return torch.stack(losses).mean().item()


def train(model: nn.Module, text: Tensor, test: Tensor, steps: int, seed: int) -> list[float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.1)
    draw = torch.Generator().manual_seed(seed)
    curve = []
    for step in range(1, steps + 1):
        model.train()
        starts = torch.randint(len(text) - CONTEXT - 1, (BATCH,), generator=draw)
        loss = loss_of(model, *windows(text, starts))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % EVERY == 0 or step == steps:
            curve.append(held_out(model, test, 8))
    return curve


def continued(model: nn.Module, letters: str, start: str, count: int) -> str:
    ids = [letters.index(letter) for letter in start]
    with torch.no_grad():
        for _ in range(count):
            ids.append(int(model(torch.tensor([ids[-CONTEXT:]]))[0, -1].argmax()))
    return "".join(letters[i] for i in ids)


def run(seed: int, steps: int) -> dict[str, Any]:
    text, test, letters = corpus()
    result: dict[str, Any] = {"seed": seed, "curves": {}}
    for kind in ("float", "ternary"):
        torch.manual_seed(seed)
        model = Model(len(letters))
        if kind == "ternary":
            prepare_qat_(model, "ternary")
        result["curves"][kind] = train(model, text, test, steps, seed)
        result[kind] = held_out(model, test, 64)
    convert_(model)
    return result | {"packed": held_out(model, test, 64), "sample": continued(model, letters, "The statement ", 60)}


def plot(results: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415  who draws nothing need not have it

    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    for kind, color in (("float", "#8c9aab"), ("ternary", "#3a6ea8")):
        for number, result in enumerate(results):
            steps = [EVERY * (i + 1) for i in range(len(result["curves"][kind]))]
            axes.plot(steps, result["curves"][kind], color=color, label=kind if number == 0 else None)
    axes.set(xlabel="step", ylabel="held-out loss, nats a character", title=f"Characters, {len(results)} seeds")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"{'seed':>6}{'float':>9}{'ternary':>9}{'packed':>9}   nats a character, held out")
    results = []
    for seed in range(options.seeds):
        result = run(seed, options.steps)
        results.append(result)
        print(f"{seed:6}{result['float']:9.4f}{result['ternary']:9.4f}{result['packed']:9.4f}", flush=True)
    gap = sum(r["ternary"] - r["float"] for r in results) / len(results)
    print(f"ternary minus float: {gap:+.4f} nats\npacked, greedy: {results[-1]['sample']!r}")
    if options.plot:
        plot(results, options.plot)
    if options.json:
        options.json.write_text(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
