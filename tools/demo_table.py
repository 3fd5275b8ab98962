"""The last table of `make demo`, from the JSON that `bnq verify --json` printed. Standard library only."""

import json
import sys
from pathlib import Path


def decibel(value: float | None) -> str:
    return "lossless" if value is None else f"{value:.1f} dB"


def main(paths: list[str]) -> None:
    print(f"{'':10}{'before':>14}{'after':>14}{'share':>9}{'worst SQNR':>13}{'median SQNR':>13}")
    verdicts = []
    for path in paths:
        verified = json.loads(Path(path).read_text(encoding="utf-8"))
        before, after = verified["file_bytes_before"], verified["file_bytes_after"]
        worst, median = decibel(verified["worst_sqnr_db"]), decibel(verified["median_sqnr_db"])
        name = Path(path).stem
        print(f"{name:10}{before:>14,}{after:>14,}{after / before:>9.1%}{worst:>13}{median:>13}")
        verdicts.append(f"{name:10}{verified['verdict']}")
    print("\nBytes are whole files, embeddings counted; int8 quantizes the embeddings too, the others keep them.\n")
    print("\n".join(verdicts))


if __name__ == "__main__":
    main(sys.argv[1:])
