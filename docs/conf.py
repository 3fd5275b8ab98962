"""Sphinx settings. `make docs` builds with -W -n: a warning or a dangling reference is an error."""

import doctest
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

project = "bnq"
copyright = "the bnq authors"
version = re.findall(r"project\(bnq VERSION (\S+) ", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))[0]
release = version

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.doctest"]
exclude_patterns: list[str] = []
html_theme = "furo" if find_spec("furo") else "alabaster"
html_title = f"bnq {version}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
highlight_language = "none"
smartquotes = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True

# Names of other projects, which this build does not look up.
nitpick_ignore_regex = [("py:.*", r"(numpy|np|torch|jax|typing|collections|os|pathlib|abc|types)(\..*)?"),
                        ("py:class", r"(optional|array|ArrayLike|NDArray|Sequence|Mapping|PathLike|Path|Any|Self|Callable)")]  # fmt: skip

doctest_global_setup = "import bnq, numpy as np"
doctest_default_flags = doctest.ELLIPSIS  # and so the text of errors counts

# bitnet_quantizer.rst asks for the class three times: as a member of its module, by itself, and method by method.
# Each thing is described once, in the last and most detailed of these places.
PAGE = "bitnet_quantizer"
DESCRIBED_BELOW = {"BitNetQuantizer", "__init__", "quantize_weights", "quantize_activations", "dequantize"}


def skip_what_is_described_below(app: Any, what: str, name: str, *_: Any) -> bool | None:
    on_page = app.env.current_document.docname == PAGE
    return True if on_page and what in ("module", "class") and name in DESCRIBED_BELOW else None


# napoleon reads "float32, one a granule: …" at an attribute as a type and a description. Ours are sentences, and |w| in
# them is a number without its sign.
sentences: dict[str, list[str]] = {}


def hide_sentences(_: Any, what: str, name: str, *rest: Any) -> None:
    lines: list[str] = rest[-1]
    if what in ("attribute", "property"):
        sentences[name] = [re.sub(r"``.*?``|\|", lambda m: "\\|" if m[0] == "|" else m[0], line) for line in lines]
        lines.clear()


def show_sentences(_: Any, what: str, name: str, *rest: Any) -> None:
    lines: list[str] = rest[-1]
    lines[:] = sentences.pop(name, lines)


def setup(app: Any) -> None:
    app.connect("autodoc-skip-member", skip_what_is_described_below)
    app.connect("autodoc-process-docstring", hide_sentences, priority=400)  # napoleon has 500
    app.connect("autodoc-process-docstring", show_sentences, priority=600)
