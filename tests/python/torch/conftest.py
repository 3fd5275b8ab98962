"""The table of what a layer goes through (test_table.py), printed at the end of a run."""

from typing import Any

PASSED, FAILED = "pass", "FAIL"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    cells: dict[tuple[str, str], str] = {}
    for outcome, text in (("passed", PASSED), ("failed", FAILED)):
        for report in terminalreporter.stats.get(outcome, []):
            cell = dict(report.user_properties).get("cell")
            if cell is not None:
                cells[cell] = text
    if not cells:
        return
    rows, columns = dict.fromkeys(row for row, _ in cells), dict.fromkeys(column for _, column in cells)
    wide = max(map(len, rows))
    terminalreporter.section("what each layer goes through")
    terminalreporter.line(" " * wide + "".join(f"  {column:>10}" for column in columns))
    for row in rows:
        terminalreporter.line(f"{row:{wide}}" + "".join(f"  {cells.get((row, column), ''):>10}" for column in columns))
    terminalreporter.line(f"{sum(text == PASSED for text in cells.values())} of {len(cells)} pass")
