"""Small rooms: hard limits for files, functions, folders and parameters, and words that this project does not use."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

FILE_LINES, FUNCTION_LINES, FOLDER_FILES, PARAMETERS = 500, 80, 16, 5
# A budget is raised here, with its reason, or not at all.
RAISED = {
    "PackedTensor::PackedTensor": 7,  # the whole state of a file's tensor; called by readers only
    "QuantizedTensor::QuantizedTensor": 6,  # the whole state of a value; called by quantize and readers only
    "absmax": 6,  # one row of the scheme table, written as a table row
    "include/bnq": 20,  # one header a noun: the include list of bnq.h is the public contract
}
# torch names a part of itself so, and nothing of ours may.
WORDS = re.compile(
    r"(?<!torch\.)(?<!nn\.)\b(" + "util" + r"s|helper" + r"s\.(h|py)|misc\.(h|py))\b|/wor" + r"k/|\.\./shar" + "ed"
)
NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.DOTALL)
SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b")


def cpp_functions(text: str) -> list[tuple[str, int, int, int]]:
    """Name, first line, lines and parameters of each function body, found by counting braces."""
    code = NOT_CODE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    code = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", "", code, flags=re.MULTILINE)
    found, stack, since = [], [], 0
    for at, char in enumerate(code):
        if char == "{":
            head = code[since:at]
            outside = all(kind == "scope" for kind, _, _ in stack) and head.count("(") == head.count(")")
            is_scope = SCOPE.search(head.split("(")[0]) is not None
            kind = "scope" if outside and is_scope else "function" if outside and "(" in head else "other"
            stack.append((kind, head, at))
        elif char == "}" and stack:
            kind, head, start = stack.pop()
            if kind == "function":
                found.append((*signature(head), code[start:at].count("\n") + 1, code.count("\n", 0, start) + 1))
        if char in "{};":
            since = at + 1
    return [(name, line, lines, parameters) for name, parameters, lines, line in found]


def signature(head: str) -> tuple[str, int]:
    name = re.search(r"([\w:~]+|operator\S+)\s*\(", head)
    depth, commas, words = 0, 0, ""
    for char in head[head.index("(") + 1 :]:
        depth += (char in "(<[{") - (char in ")>]}")
        if depth < 0:
            break
        commas += char == "," and depth == 0
        words += char
    return (name.group(1) if name else "?", commas + 1 if words.strip() else 0)


def python_functions(text: str) -> list[tuple[str, int, int, int]]:
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(n.name, n.lineno, (n.end_lineno or 0) - n.lineno + 1, len(n.args.args)) for n in nodes]


def problems_of(path: str, text: str) -> list[str]:
    problems = [f"{path}:{text.count(chr(10), 0, m.start()) + 1}: says {m.group()}" for m in WORDS.finditer(text)]
    read = cpp_functions if path.endswith((".h", ".cpp")) else python_functions if path.endswith(".py") else None
    if read and text.count("\n") > FILE_LINES:
        problems.append(f"{path}: {text.count(chr(10))} lines, at most {FILE_LINES}")
    for name, line, lines, parameters in read(text) if read else []:
        if lines > FUNCTION_LINES:
            problems.append(f"{path}:{line}: {name} has {lines} lines, at most {FUNCTION_LINES}")
        if parameters > RAISED.get(name, PARAMETERS):
            problems.append(f"{path}:{line}: {name} has {parameters} parameters, at most {PARAMETERS}")
    return problems


def self_test() -> None:
    assert not problems_of("a.cpp", "int f(int a, std::map<int, int> b) {\n  return {a};\n}\n")
    assert problems_of("a.cpp", "namespace n {\nint f(int a, int b, int c, int d, int e, int g) { return 1; }\n}\n")
    assert problems_of("a.cpp", "struct S {\n  void f() {" + "\n    g();" * 90 + "\n  }\n};\n")
    assert problems_of("a.h", "\n" * 501)
    assert problems_of("a.py", "def f():\n" + "    x = 1\n" * 90)
    assert problems_of("a.rst", "see /wor" + "k/main")


def main() -> int:
    if "--self-test" in sys.argv:
        self_test()
        return 0
    files = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], text=True).split()
    texts = {f: Path(f).read_text(encoding="utf-8", errors="replace") for f in files if Path(f).is_file()}
    problems = [problem for f, text in texts.items() for problem in problems_of(f, text)]
    folders = Counter(str(Path(f).parent) for f in texts if "/" in f)
    full = {d: n for d, n in folders.items() if n > RAISED.get(d, FOLDER_FILES)}
    problems += [f"{d}/: {n} files, at most {FOLDER_FILES}" for d, n in full.items()]
    print("\n".join(problems) or f"check_budget: {len(texts)} files within budget")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
