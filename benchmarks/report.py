"""Tables of a bench.json: as text, and as csv for the documentation."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from timing import QUIET_SHARE, geometric_mean, ratio

Row = dict[str, Any]
Table = tuple[list[str], list[list[str]]]

PAIRS = {
    "bnq ternary": None,  # against everyone
    "bnq int8": ("torch dynamic int8", "torchao int8 compiled", "ORT int8"),
}
COMPARED = {  # group: (ours, theirs)
    "int8 rows": ("bnq.quantize", "torch.compile"),
    "int8 rows, bf16 input": ("bnq.quantize bf16", "bnq.quantize f32"),
    "ternary, packed to 2 bits": ("bnq.pack(bnq.quantize)", "transformers pack_weights"),
    "ternary packed, bf16 input": ("bnq bf16", "bnq f32"),
    "int8 tokens": ("bnq.quantize_activations", "torch.compile"),
}


def tables(document: dict[str, Any]) -> dict[str, Table]:
    makers = {
        "products": product_table,
        "avx2": product_table,
        "single_layer": single_layer_table,
        "quantizing": quantizing_table,
        "alternation": alternation_table,
    }
    return {name: makers[name](rows) for name, rows in document["sections"].items()}


def product_table(rows: list[Row]) -> Table:
    """One line for each pair and case; geometric means over the shapes that both ran."""
    head = ["tokens", "weights from", "threads", "ours", "GMAC/s", "of roof", "rival", "GMAC/s", "of roof", "ratio"]
    lines = []
    cases = sorted({(r["threads"], r["tokens"], r["weights"] == "cache") for r in rows if "tokens" in r})
    for threads, tokens, is_cached in cases:
        at = [r for r in rows if r.get("tokens") == tokens and r["threads"] == threads]
        subjects = by_subject(r for r in at if (r["weights"] == "cache") == is_cached)
        where = [str(tokens), "cache" if is_cached else "memory", str(threads)]
        for ours, chosen in PAIRS.items():
            for rival, cells in subjects.items():
                wanted = rival not in PAIRS if chosen is None else rival in chosen
                if ours in subjects and wanted:
                    lines.append(where + pair_columns(ours, subjects[ours], rival, cells))
    return head, lines


def by_subject(rows: Iterable[Row]) -> dict[str, dict[tuple[int, ...], Row]]:
    found: dict[str, dict[tuple[int, ...], Row]] = {}
    for row in rows:
        found.setdefault(row["subject"], {})[tuple(row["shape"])] = row
    return found


def pair_columns(
    ours: str, our_cells: dict[tuple[int, ...], Row], rival: str, cells: dict[tuple[int, ...], Row]
) -> list[str]:
    if refusal := next((c["refused"] for c in cells.values() if "refused" in c), None):
        return [ours, *speed_columns(list(our_cells.values())), rival, "–", "–", refusal]
    shapes = [shape for shape in cells if shape in our_cells]
    left, right = [our_cells[s] for s in shapes], [cells[s] for s in shapes]
    value = geometric_mean([ratio(a["seconds"], b["seconds"]) for a, b in zip(left, right, strict=True)])
    notes = "" if all(r["right"] for r in left + right) else " WRONG RESULT"
    notes += " *" if any(r["others_share"] > QUIET_SHARE for r in left + right) else ""
    few = f" ({len(shapes)} of {len(our_cells)} shapes)" if len(shapes) < len(our_cells) else ""
    return [ours, *speed_columns(left), rival, *speed_columns(right), f"{value:.2f}x{few}{notes}"]


def speed_columns(rows: list[Row]) -> list[str]:
    shares = [r["share_of_roof"] for r in rows]
    share = "" if None in shares else f"{geometric_mean(shares):.0%} {rows[0]['roof']}"
    return [f"{geometric_mean([r['gmac_per_s'] for r in rows]):.1f}", share]


def single_layer_table(rows: list[Row]) -> Table:
    base = next(r for r in rows if r["subject"].startswith("nn.Linear"))
    head = ["layer", "µs a call", "of nn.Linear's time"]
    return head, [
        [r["subject"], f"{r['us_per_call']:.1f}", f"{1 / ratio(r['seconds'], base['seconds']):.2f}x"] for r in rows
    ]


def quantizing_table(rows: list[Row]) -> Table:
    head = ["what", "threads", "shape", "ours", "Gelem/s", "against", "Gelem/s", "ratio"]
    cells = {(r["group"], r["threads"], r["subject"]): r for r in rows}
    lines = []
    for group, (ours, theirs) in COMPARED.items():
        for threads in sorted({r["threads"] for r in rows}):
            a, b = cells.get((group, threads, ours)), cells.get((group, threads, theirs))
            if a and b:
                speeds = [f"{r['gelem_per_s']:.2f}" for r in (a, b)]
                shape = "x".join(map(str, a["shape"]))
                value = f"{ratio(a['seconds'], b['seconds']):.2f}x"
                lines.append([group, str(threads), shape, ours, speeds[0], theirs, speeds[1], value])
    return head, lines


def alternation_table(rows: list[Row]) -> Table:
    head = ["side", "threads", "alone, µs", "in turns, µs", "cost"]
    return head, [
        [
            *(r["subject"], str(r["threads"])),
            *(f"{median(r[key]) * 1e6:.0f}" for key in ("alone", "in_turns")),
            f"{r['cost']:+.1%}",
        ]
        for r in rows
    ]


def skipped(document: dict[str, Any]) -> list[str]:
    rows = [r for section in document["sections"].values() for r in section if "skipped" in r]
    return sorted({f"{r['subject']}: {r['skipped']}" for r in rows})


def disturbances(document: dict[str, Any]) -> str:
    rows = [r for section in document["sections"].values() for r in section if "others_share" in r]
    loud = [r for r in rows if r["others_share"] > QUIET_SHARE]
    return f"* disturbed: other processes used the CPUs in {len(loud)} of {len(rows)} timings" if loud else ""


def text(document: dict[str, Any]) -> str:
    machine = document["machine"]
    versions = ", ".join(f"{name} {v}" for name, v in machine["packages"].items() if v)
    lines = [f"{machine['cpu']}; bnq {machine['bnq']}; {versions}"]
    for name, (head, rows) in tables(document).items():
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines += ["", name]
        lines += ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in (head, *rows)]
    lines += ["", *(f"not measured: {line}" for line in skipped(document))]
    lines += [disturbances(document)]
    return "\n".join(lines).rstrip() + "\n"


def write_docs(document: dict[str, Any], folder: Path) -> None:
    """One csv for each table, and a line of text about the machine."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (head, rows) in tables(document).items():
        if name in ("products", "avx2"):
            for threads in sorted({row[2] for row in rows}):
                kept = [row[:2] + row[3:] for row in rows if row[2] == threads]
                write_csv(folder / f"{name}_{threads}.csv", head[:2] + head[3:], kept)
        else:
            write_csv(folder / f"{name}.csv", head, rows)
    machine = document["machine"]
    versions = ", ".join(f"{name} {v}" for name, v in machine["packages"].items() if v)
    features = ", ".join(machine["features"])
    about = f"{machine['cpu']} ({features}). bnq {machine['bnq']}, Python {machine['python']}, {versions}.\n"
    (folder / "machine.inc").write_text(about, encoding="utf-8")


def write_csv(path: Path, head: list[str], rows: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([head, *rows])
    path.write_text(out.getvalue(), encoding="utf-8")
