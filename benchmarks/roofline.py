"""The picture of docs/benchmarks.rst: speed against products a weight byte, under the roofs measured beside it."""

from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from timing import geometric_mean

COLOURS = {
    "bnq ternary": "#d62728",
    "bnq int8": "#ff7f0e",
    "torch fp32": "#7f7f7f",
    "torch bf16": "#bcbd22",
    "torch dynamic int8": "#1f77b4",
    "torchao int8 compiled": "#17becf",
    "ORT int8": "#2ca02c",
    "ORT 2-bit": "#98df8a",
    "ggml TQ2_0": "#9467bd",
    "litespark ternary": "#8c564b",
}


def draw(document: dict[str, Any], path: Path) -> None:
    """One panel for each number of threads. The row whose weights stay in the cache is not under these roofs."""
    rows = [r for r in document["sections"].get("products", []) if is_drawn(r)]
    counts = sorted({r["threads"] for r in rows})
    if not counts:
        return
    settings = {"svg.hashsalt": "bnq", "font.size": 8, "svg.fonttype": "none"}  # the same bytes for the same figures
    with mpl.rc_context(settings):
        figure = Figure(figsize=(5.2 * len(counts), 4.2), layout="constrained")
        panels = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
        for axes, threads in zip(panels, counts, strict=True):
            panel(axes, [r for r in rows if r["threads"] == threads], threads)
        panels[0].set_ylabel("10⁹ products a second")
        panels[-1].legend(loc="lower right", fontsize=7)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})


def is_drawn(row: dict[str, Any]) -> bool:
    return "seconds" in row and not (row["tokens"] == 1 and row["weights"] == "cache")


def panel(axes: Axes, rows: list[dict[str, Any]], threads: int) -> None:
    read = median(r["read_gb_per_s"] for r in rows)
    peak = median(r["int8_gmac_per_s"] for r in rows)
    x = np.geomspace(0.2, 4000, 200)
    axes.loglog(x, np.minimum(x * read, peak), color="black", linewidth=1.2)
    axes.annotate(f"{read:.0f} GB/s read", (0.5, 0.5 * read), (0.22, 0.9 * read), rotation=38)
    axes.annotate(f"int8 peak {peak:.0f}", (300, peak * 1.06))
    for subject, colour in COLOURS.items():
        points = points_of([r for r in rows if r["subject"] == subject])
        if points:
            marker = "o" if subject.startswith("bnq") else "."
            axes.plot(*zip(*points, strict=True), marker=marker, color=colour, linewidth=0.8, label=subject)
    axes.set_title(f"{threads} thread{'s' if threads > 1 else ''}")
    axes.set_xlabel("products a byte of weights (tokens / bytes a weight)")
    axes.grid(visible=True, which="major", linewidth=0.3)


def points_of(rows: list[dict[str, Any]]) -> list[tuple[float, float]]:
    points = []
    for tokens in sorted({r["tokens"] for r in rows}):
        at = [r for r in rows if r["tokens"] == tokens]
        points.append((tokens / at[0]["bytes_per_weight"], geometric_mean([r["gmac_per_s"] for r in at])))
    return points
