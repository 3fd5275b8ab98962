"""bnq beside what a Python user would pick today: python benchmarks/run.py --out build/bench

Writes bench.json, table.txt and, with --docs, the tables and the picture of docs/benchmarks.rst. Each section runs in
a process of its own, so that its number of threads and its instruction set are there before any library starts.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import report

SCHEMA = "bnq.rivals/1"
AVX2 = {"BNQ_ISA": "avx2", "FBGEMM_ENABLE_INSTRUCTIONS": "AVX2"}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Times bnq and its rivals in turns.")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="folder of bench.json and table.txt")
    parser.add_argument("--docs", type=Path, help="folder that gets the tables and the picture of the documentation")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, help="rounds of every comparison (5; quick: 2)")
    parser.add_argument("--quick", action="store_true", help="one shape, two rounds")
    parser.add_argument("--only", nargs="+", help="sections: products avx2 single_layer quantizing alternation")
    parser.add_argument("--show", type=Path, metavar="JSON", help="measure nothing: tables and picture from this file")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    options = parsed()
    options.rounds = options.rounds or (2 if options.quick else 5)
    if options.child:
        return run_child(options)
    document = json.loads(options.show.read_text(encoding="utf-8")) if options.show else measured(options)
    options.out.mkdir(parents=True, exist_ok=True)
    table = report.text(document)
    (options.out / "table.txt").write_text(table, encoding="utf-8")
    print(table)
    if options.docs:
        import roofline  # noqa: PLC0415, slow import

        report.write_docs(document, options.docs)
        roofline.draw(document, options.docs / "roofline.svg")
    return 0


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Runs every section in a child, once for each number of threads."""
    document: dict[str, Any] = {"schema": SCHEMA, "quick": options.quick, "rounds": options.rounds, "sections": {}}
    options.out.mkdir(parents=True, exist_ok=True)
    for section, threads in plan(options):
        begin = time.perf_counter()
        print(f"{section}, {threads} thread(s) …", file=sys.stderr, flush=True)
        part = run_section(options, section, threads)
        document["machine"] = part["machine"]
        document["sections"].setdefault(section, []).extend(part["rows"])
        (options.out / "bench.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"{section}, {threads} thread(s): {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    return document


def plan(options: argparse.Namespace) -> list[tuple[str, int]]:
    several = [(s, n) for s in ("products", "avx2", "quantizing", "alternation") for n in options.threads]
    sections = [*several, ("single_layer", 1)]
    return [(s, n) for s, n in sections if not options.only or s in options.only]


def run_section(options: argparse.Namespace, section: str, threads: int) -> dict[str, Any]:
    path = options.out / f"{section}_{threads}.json"
    command = [sys.executable, __file__, "--child", section, "--threads", str(threads), "--json", str(path)]
    command += ["--rounds", str(options.rounds), *(["--quick"] if options.quick else [])]
    count = {"OMP_NUM_THREADS": str(threads), "BNQ_NUM_THREADS": str(threads)}
    subprocess.run(command, env=os.environ | count | (AVX2 if section == "avx2" else {}), check=True)
    part = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return part


def run_child(options: argparse.Namespace) -> int:
    import child  # noqa: PLC0415, loads every library

    threads = options.threads[0]
    part = child.measure(options.child, threads, rounds=options.rounds, quick=options.quick)
    options.json.write_text(json.dumps(part), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
