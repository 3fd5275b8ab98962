"""Is the documentation whole and true? `check_docs.py build/docs` looks at the built pages and at the sources.

Pages: none is empty, internal links resolve, the page of BitNetQuantizer has the class and its methods once each, the
Python page every public name.
Sources: every layout has a page, every scheme and header is named, DESIGN.md has the layer table of check_layers.py and
CONTRIBUTING.md the steps of `make test`, the README's C++ is examples/readme.cpp, and examples print what they show.
`check_docs.py --rewrite` puts what console examples print into the pages, and the layer table into DESIGN.md.
"""

import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import check_layers
import doc_examples

ROOT = Path(__file__).resolve().parent.parent
PAGES_WITH_EXAMPLES = ("README.md", "docs/command_line.rst")
SHORTEST_PAGE = 200  # characters of text; a page whose directives gave nothing has less
GENERATED = {"genindex.html", "search.html", "py-modindex.html"}

LAYER_ROWS = re.compile(r"(?:^\| `(?:include|src|cli|python|benchmarks|examples|tests)/.*\|\n)+", re.MULTILINE)
CLASS = "layers.bitnet_quantizer.BitNetQuantizer"
METHODS = ("__init__", "quantize_weights", "quantize_activations", "dequantize")


class HtmlPage(HTMLParser):
    """Ids, links and the text of the article of one built page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.text = ""
        self.depth = 0  # inside the article
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attributes}
        if "id" in values:
            self.ids[values["id"]] += 1
        self.links += [values[key] for key in ("href", "src") if key in values]
        is_article = tag == "article" or values.get("role") == "main"
        self.depth += bool(is_article or (self.depth and tag in ("article", "div")))

    def handle_endtag(self, tag: str) -> None:
        self.depth -= bool(self.depth and tag in ("article", "div"))

    def handle_data(self, data: str) -> None:
        self.text += data if self.depth else ""


def link_problems(page: HtmlPage, pages: dict[Path, HtmlPage]) -> list[str]:
    problems = []
    for link in page.links:
        url = urlsplit(link)
        if url.scheme or url.netloc:
            continue
        target = (page.path.parent / unquote(url.path)).resolve() if url.path else page.path.resolve()
        if not target.exists():
            problems.append(f"{page.path.name}: link to {link}: no such file")
        elif url.fragment and target in pages and unquote(url.fragment) not in pages[target].ids:
            problems.append(f"{page.path.name}: link to {link}: no such place")
    return problems


def front_door_problems(page: HtmlPage) -> list[str]:
    wanted = ["module-layers.bitnet_quantizer", CLASS, *(f"{CLASS}.{method}" for method in METHODS)]
    return [f"{page.path.name}: {name} is shown {page.ids[name]} times" for name in wanted if page.ids[name] != 1]


def python_problems(page: HtmlPage) -> list[str]:
    """Every public name of the package has an entry."""
    (names,) = re.findall(r"__all__ = \[(.*?)\]", read("python/bnq/__init__.py"), re.S)
    public = [name for name in re.findall(r'"(\w+)"', names) if not name.startswith("__")]
    return [f"{page.path.name}: does not show bnq.{name}" for name in public if f"bnq.{name}" not in page.ids]


def page_problems(folder: Path) -> list[str]:
    paths = [path.resolve() for path in folder.rglob("*.html") if "_static" not in path.parts]
    pages = {path: HtmlPage(path) for path in paths}
    front_door = (folder / "bitnet_quantizer.html").resolve()
    if front_door not in pages:
        return [f"{folder}: has no bitnet_quantizer.html; build the pages first (make docs)"]
    problems = front_door_problems(pages[front_door]) + python_problems(pages[front_door.with_name("python.html")])
    for path, page in pages.items():
        problems += link_problems(page, pages)
        if path.name not in GENERATED and len("".join(page.text.split())) < SHORTEST_PAGE:
            problems.append(f"{path.name}: nearly empty")
        problems += [f"{path.name}: id {name} twice" for name, count in page.ids.items() if count > 1]
    return problems


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def rows(folder: str, pattern: str) -> set[str]:
    """First groups of `pattern` in the sources of a folder: the names in a table."""
    return {name for path in (ROOT / folder).rglob("*.cpp") for name in re.findall(pattern, path.read_text("utf-8"))}


def completeness_problems() -> list[str]:
    layouts = rows("src/layout", r'LayoutRow \w+\{\.name = "(\w+)"')
    rules = rows("src/quantize", r'(?:absmax\(|given\(|\.rule = )"([\w-]+)"')
    headers = {path.name for path in (ROOT / "include/bnq").glob("*.h")}
    if len(layouts) < 4 or len(rules) < 10 or len(headers) < 15:
        return ["check_docs: does not find the tables of layouts and schemes, or the headers; mend check_docs.py"]
    schemes, index = read("docs/schemes.rst"), read("docs/formats/index.rst")
    linked = set(re.findall(r":doc:`(\w+)(?: <[\w/]+>)?`", index))  # Sphinx refuses links to pages that are not there
    problems = [f"docs/formats/index.rst: has no link from {name} to its page" for name in layouts - linked]
    problems += [f"docs/schemes.rst: does not name {rule}" for rule in rules if f"``{rule}``" not in schemes]
    shown = read("docs/cpp.rst") + read("docs/cpp_headers.rst")
    return problems + [f"docs/cpp.rst: does not name {name}" for name in headers if f"bnq/{name}" not in shown]


def layer_table() -> str:
    """The table that is enforced, as DESIGN.md shows it."""
    allowed = {folder: " ".join(f"`{name}`" for name in names) or "–" for folder, names in check_layers.ALLOWED.items()}
    return "".join(f"| `{folder}` | {names} |\n" for folder, names in allowed.items())


def layer_problems(design: str) -> list[str]:
    same = LAYER_ROWS.findall(design) == [layer_table()]
    return [] if same else ["DESIGN.md: its layer table is not that of tools/check_layers.py"]


def rewrite_layers() -> None:
    text = LAYER_ROWS.sub(lambda _: layer_table(), read("DESIGN.md"), count=1)
    (ROOT / "DESIGN.md").write_text(text, encoding="utf-8")


def step_problems(contributing: str, makefile: str) -> list[str]:
    match = re.search(r"^STEPS := (.*)$", makefile, re.M)
    steps = match.group(1).split() if match else ["STEPS in the Makefile"]
    shown = re.findall(r"^\| `([a-z-]+)` \|", contributing, re.M)
    return [] if shown == steps else [f"CONTRIBUTING.md: has the steps {shown}, `make test` has {steps}"]


def readme_problems(readme: str) -> list[str]:
    blocks = re.findall(r"^```cpp\n(.*?)^```$", readme, re.M | re.S)
    problems = [] if read("examples/readme.cpp") in blocks else ["README.md: its C++ is not examples/readme.cpp"]
    return problems + (["README.md: still has a TODO"] if "TODO" in readme else [])


def markdown_link_problems() -> list[str]:
    problems = []
    for path in ROOT.glob("*.md"):
        links = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
        local = [link for link in links if ":" not in link]
        problems += [f"{path.name}: link to {link}: no such file" for link in local if not (ROOT / link).exists()]
    return problems


def self_test() -> None:
    doc_examples.self_test()
    design = read("DESIGN.md")
    assert layer_problems(design.replace("| `src/core/` | `bnq/`", "| `src/core/` | `io/`"))
    assert step_problems("| `lint` | x |\n", "STEPS := lint layers\n")
    assert readme_problems("```cpp\nint main() {}\n```\n")


def main(arguments: list[str]) -> int:
    self_test()
    folders = [Path(argument) for argument in arguments if not argument.startswith("--")]
    rewrite = "--rewrite" in arguments
    if rewrite:
        rewrite_layers()
    problems = [problem for folder in folders for problem in page_problems(folder)]
    problems += completeness_problems() + layer_problems(read("DESIGN.md"))
    problems += step_problems(read("CONTRIBUTING.md"), read("Makefile"))
    problems += readme_problems(read("README.md")) + markdown_link_problems()
    unbuilt = doc_examples.build_problems()
    for path in () if unbuilt else PAGES_WITH_EXAMPLES:
        problems += doc_examples.problems_of_page(ROOT / path, rewrite)
    problems += unbuilt
    print(
        "\n".join(problems) or "check_docs: pages whole, links resolve, tables complete, examples print what they show"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
