"""Instruction sets stay in their folders: check_seal.py LIBRARY.a, or check_seal.py --self-test

A CPU without AVX must never meet an AVX instruction. Two things could bring one to it: a file that was compiled with
the wrong flags, and a weak (inline or template) function that the linker takes from a sealed file for the program.
So objects of kernels/<isa>/ define one symbol each and no weak one, and all others hold no VEX or EVEX instruction.
"""

import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SEALED = {"avx2", "avx512vnni"}
WIDE = re.compile(r"%[yz]mm\d|\tv[a-z0-9]+ .*%xmm")


def run(*command: str) -> str:
    return subprocess.check_output(command, text=True)


def objects_of(library: Path, folder: Path) -> list[tuple[str, Path]]:
    """The members of an archive, by the name of their source file; names may repeat, so each is taken by its number."""
    counts: dict[str, int] = {}
    objects = []
    for member in run("ar", "t", str(library)).split():
        counts[member] = counts.get(member, 0) + 1
        path = folder / f"{counts[member]}_{member}"
        path.parent.mkdir(exist_ok=True)
        subprocess.check_call(["ar", "xN", str(counts[member]), "--output", str(folder), str(library), member])
        (folder / member).rename(path)
        objects.append((member, path))
    return objects


def defined(path: Path) -> list[tuple[str, str]]:
    """Kind letter and name of the global symbols that an object defines."""
    lines = [line.split(" ", 2) for line in run("nm", "--defined-only", "-gC", str(path)).splitlines() if line]
    return [(kind, name) for _, kind, name in lines]


def problems_of(member: str, path: Path) -> list[str]:
    symbols = defined(path)
    sealed = [name for _, name in symbols if any(name.endswith(f"_{isa}") for isa in SEALED)]
    if sealed:
        weak = [name for kind, name in symbols if kind in "WVuvw"]
        problems = [f"{member} ({sealed[0]}): gives the linker {name}" for name in weak]
        if len(symbols) - len(weak) != 1:
            problems.append(f"{member}: defines {', '.join(name for _, name in symbols)}; one symbol is allowed")
        return problems
    wide = WIDE.search(run("objdump", "-d", "--no-show-raw-insn", str(path)))
    return [f"{member}: holds{wide.group().replace(chr(9), ' ')}, outside the sealed folders"] if wide else []


LOOP = "float sum(const float* x) { float s = 0; for (int i = 0; i < 8; ++i) s += x[i]; return s; }\n"
CASES = [  # source, compiler flags, is it a leak
    (LOOP, ["-msse2"], False),
    (LOOP, ["-mavx2"], True),  # an ordinary file with the flags of a sealed one
    ("namespace { " + LOOP + "} float (*k_avx2)(const float*) = sum;", ["-mavx2"], False),  # as a kernel is written
    ("template <int> " + LOOP + "float (*k_avx2)(const float*) = sum<0>;", ["-mavx2"], True),  # the linker may take it
    (LOOP + "float (*k_avx2)(const float*) = sum;", ["-mavx2"], True),  # two symbols
]


def self_test() -> None:
    """Each leak that this tool is there for must be found, in objects made for it."""
    if platform.machine() != "x86_64":
        print("check_seal: this machine is no x86-64; nothing to seal")
        return
    with tempfile.TemporaryDirectory() as folder:
        for number, (source, flags, leaks) in enumerate(CASES):
            path = Path(folder, f"case{number}.o")
            subprocess.run(["g++", "-O1", *flags, "-xc++", "-", "-c", "-o", path], input=source, text=True, check=True)
            problems = problems_of(path.name, path)
            assert bool(problems) == leaks, f"case {number}: {problems}"


def main() -> int:
    if "--self-test" in sys.argv:
        self_test()
        return 0
    library = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        objects = objects_of(library, Path(folder))
        problems = [p for member, path in objects for p in problems_of(member, path)]
    print("\n".join(problems) or f"check_seal: {len(objects)} objects, no leak")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
