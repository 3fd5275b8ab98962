"""Runs the examples of a page as a reader would, top to bottom in one folder, and compares what they print.

Python blocks are run whole. In console blocks each `$ command` is run by bash, and the lines below it are what it
prints (stdout and stderr). `…` stands for anything in its line, and alone in a line for any lines.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ANYTHING = "…"

RST_BLOCK = re.compile(r"^\.\. code-block:: (python|console)\n(?:   :.*\n)*\n((?:   .*\n|\n)+)", re.MULTILINE)
MARKDOWN_BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Page:
    """One page with examples."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.indent = "   " if path.suffix == ".rst" else ""
        self.pattern = RST_BLOCK if self.indent else MARKDOWN_BLOCK

    def blocks(self) -> Iterator[tuple[str, str]]:
        """Language and text of each block, not indented, in order."""
        for match in self.pattern.finditer(self.text):
            lines = match.group(2).rstrip("\n").split("\n")
            yield match.group(1), "\n".join(line.removeprefix(self.indent) for line in lines)

    def replace_blocks(self, blocks: list[str]) -> None:
        """Writes the page with other texts in its blocks, all of them, in order."""
        new = iter(blocks)

        def replaced(match: re.Match[str]) -> str:
            old = match.group(2).rstrip("\n")
            text = "\n".join(self.indent + line if line else line for line in next(new).split("\n"))
            return match.group().replace(old, text)

        self.path.write_text(self.pattern.sub(replaced, self.text), encoding="utf-8")


def environment() -> dict[str, str]:
    """Where the examples find `import bnq` and `bnq`: the build that the caller names, or that of `make dev`."""
    command = Path(os.environ.get("BNQ_CLI", ROOT / "build/dev/cli/bnq"))
    package = os.environ.get("PYTHONPATH", str(ROOT / "build/dev/python"))
    path = os.pathsep.join([str(command.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    package = os.pathsep.join(str(Path(part).resolve()) for part in package.split(os.pathsep))
    return {**os.environ, "PATH": path, "PYTHONPATH": package, "LC_ALL": "C.UTF-8", "BNQ_NUM_THREADS": "1"}


def run(command: list[str], folder: Path) -> str:
    process = subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return process.communicate(timeout=120)[0].rstrip("\n")


def build_problems() -> list[str]:
    """Without a build the examples would fail one by one, and a rewrite would put that into the pages."""
    at = environment()
    missing = [] if shutil.which("bnq", path=at["PATH"].split(os.pathsep)[0]) else ["the bnq command"]
    imported = subprocess.run([sys.executable, "-c", "import bnq"], check=False, env=at, capture_output=True)
    missing += [] if imported.returncode == 0 else ["the bnq package"]
    return [f"{what} is not built; run `make dev`, or set BNQ_CLI and PYTHONPATH" for what in missing]


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each `$ command`, continued by a backslash or not, and the output shown below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = re.sub(r"\\\n", "\\\\\0", part).partition("\n")
        yield command.replace("\\\0", "\\\n"), output.replace("\\\0", "\\\n").rstrip("\n")


def is_like(shown: str, printed: str) -> bool:
    lines = re.sub(rf"^{ANYTHING}$", "\0", shown, flags=re.MULTILINE)
    pattern = re.escape(lines).replace("\0", r"[\s\S]*").replace(ANYTHING, ".*")
    return re.fullmatch(pattern, printed) is not None


def shown_by_print(block: str) -> str:
    """What the comments behind `print(…)` say that it prints."""
    return "\n".join(re.findall(r"^print\(.*\) +# (.*)$", block, flags=re.MULTILINE))


def run_console(page: Page, block: str, folder: Path) -> tuple[str, list[str]]:
    """The block as it should be, and what is wrong with it as it is."""
    problems, right = [], []
    for command, shown in commands(block):
        printed = run(["bash", "-c", command], folder)
        like = is_like(shown, printed)
        if not like:
            problems.append(f"{page.path.name}: $ {command}\n  the page shows:\n{shown}\n  it prints:\n{printed}")
        right += [f"$ {command}", shown if like else printed]
    return "\n".join(text for text in right if text), problems


def run_python(page: Page, block: str, folder: Path) -> list[str]:
    printed, shown = run([sys.executable, "-c", block], folder), shown_by_print(block)
    return [] if printed == shown else [f"{page.path.name}: a Python block prints\n{printed}\n  not\n{shown}"]


def problems_of_page(path: Path, rewrite: bool = False) -> list[str]:
    page = Page(path)
    problems, blocks, count = [], [], 0
    with tempfile.TemporaryDirectory() as temporary:
        for language, block in page.blocks():
            right = block
            if language == "python":
                problems += run_python(page, block, Path(temporary))
            elif block.startswith("$ bnq "):
                right, wrong = run_console(page, block, Path(temporary))
                problems += wrong
            count += language == "python" or block.startswith("$ bnq ")
            blocks.append(right)
    if rewrite:
        page.replace_blocks(blocks)
    return problems or ([] if count else [f"{path.name}: no example found"])


def self_test() -> None:
    assert is_like("a\n…\nd", "a\nb\nc\nd")
    assert not is_like("a\nb", "a\nc")
    assert is_like("a …\nb.", "a 12\nb.")
    assert not is_like("a …\nb.", "a 12\nc\nb.")
    assert list(commands("$ bnq a \\\n  b\nx\ny\n$ bnq c")) == [("bnq a \\\n  b", "x\ny"), ("bnq c", "")]
    assert shown_by_print("x = 1\nprint(x)  # 1\nprint(x + 1)  # 2\n") == "1\n2"
