"""The tables of `make bench`: what they compute, and what they may not hide."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import timing  # noqa: E402

import report  # noqa: E402

MACHINE = {"cpu": "a CPU", "features": ["x"], "python": "3", "bnq": "1", "packages": {"torch": "2", "absent": None}}


def product(subject: str, shape: tuple[int, int], seconds: list[float], **changed: Any) -> dict[str, Any]:
    row = {
        "subject": subject,
        "shape": list(shape),
        "tokens": 1,
        "weights": "memory",
        "threads": 1,
        "seconds": seconds,
        "gmac_per_s": 100.0,
        "share_of_roof": 0.5,
        "roof": "read",
        "right": True,
        "others_share": 0.0,
    }
    return row | changed


def text_of(rows: list[dict[str, Any]], section: str = "products") -> str:
    return report.text({"machine": MACHINE, "sections": {section: rows}})


def test_a_ratio_is_the_median_over_rounds_of_the_same_round() -> None:
    assert timing.ratio([1.0, 2.0, 4.0], [2.0, 6.0, 4.0]) == pytest.approx(2.0)


def test_shapes_are_averaged_by_geometric_mean() -> None:
    rows = [product("bnq ternary", (2, 2), [1.0]), product("bnq ternary", (4, 4), [1.0])]
    rows += [product("torch fp32", (2, 2), [2.0]), product("torch fp32", (4, 4), [8.0])]
    assert "4.00x" in text_of(rows)


def test_a_rival_on_fewer_shapes_is_compared_on_those_and_says_so() -> None:
    rows = [product("bnq ternary", (2, 2), [1.0]), product("bnq ternary", (4, 4), [9.0])]
    rows += [product("torch fp32", (2, 2), [3.0])]
    assert "3.00x (1 of 2 shapes)" in text_of(rows)


def test_lost_wrong_refused_and_disturbed_rows_are_shown() -> None:
    rows = [product("bnq ternary", (2, 2), [2.0]), product("torch fp32", (2, 2), [1.0], others_share=0.5)]
    rows += [product("ORT int8", (2, 2), [1.0], right=False)]
    rows += [{"subject": "litespark ternary", "shape": [2, 2], "tokens": 1, "weights": "memory", "threads": 1}]
    rows[-1]["refused"] = "too many tokens"
    rows += [{"subject": "ggml TQ2_0", "skipped": "not built"}]
    shown = text_of(rows)
    assert "0.50x *" in shown
    assert "0.50x WRONG RESULT" in shown
    assert "too many tokens" in shown
    assert "not measured: ggml TQ2_0: not built" in shown
    assert "* disturbed: other processes used the CPUs in 1 of 3 timings" in shown


def test_subjects_take_turns_and_quiet_rounds_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    busy = iter([0.0, 1e9, 1e9, 1e9, 1e9, 1e9])  # before and after each round: the first was disturbed
    monkeypatch.setattr(timing, "others_seconds", lambda: next(busy))
    monkeypatch.setattr(timing, "seconds_each", lambda call, _: call.run() or float(len(calls)))
    made = timing.alternate({n: timing.Call(lambda n=n: calls.append(n)) for n in ("a", "b")}, rounds=2)
    turns = calls[2:]  # after the lap before all rounds
    assert [sorted(turns[i : i + 2]) for i in range(0, len(turns), 2)] == [["a", "b"]] * 3
    assert made.others_share == 0.0
    assert all(len(seconds) == 2 for seconds in made.seconds.values())


def test_show_prints_a_saved_run_without_measuring(tmp_path: Path) -> None:
    rows = [product("bnq ternary", (2, 2), [1.0]), product("torch fp32", (2, 2), [2.5])]
    saved = tmp_path / "bench.json"
    saved.write_text(json.dumps({"machine": MACHINE, "sections": {"products": rows}}))
    command = [sys.executable, BENCHMARKS / "run.py", "--show", saved, "--out", tmp_path / "out"]
    assert "2.50x" in subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "2.50x" in (tmp_path / "out" / "table.txt").read_text()
