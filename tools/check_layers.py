"""Who may include whom: DESIGN.md's layer table as data, against which every C++ file is held."""

import re
import subprocess
import sys
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
PUBLIC = "bnq/"

# Longest matching folder or file wins. Beside its own folder and the standard library a file may include headers whose
# path starts with one of these. System headers need to be named.
ALLOWED: dict[str, tuple[str, ...]] = {
    "include/bnq/": (PUBLIC,),
    "src/core/": (PUBLIC, "immintrin.h"),
    "src/core/threads/": (PUBLIC, "core/", "pthread.h", "dlfcn.h"),
    "src/core/memory/": (PUBLIC, "core/", "sys/mman.h"),
    "src/quantize/": (PUBLIC, "core/", "kernels/"),
    "src/layout/": (PUBLIC, "core/"),
    "src/layout/blocks/": (PUBLIC, "core/", "layout/layout_row.h"),
    "src/target/": (PUBLIC, "core/"),
    "src/kernels/": (PUBLIC, "core/"),
    "src/kernels/cpu.cpp": (PUBLIC, "core/", "cpuid.h", "sys/auxv.h", "asm/hwcap.h"),
    "src/kernels/scalar/": ("kernels/kernel.h", "core/rounding.h", "core/float16.h"),
    "src/kernels/avx2/": ("kernels/kernel.h", "immintrin.h"),
    "src/kernels/avx512vnni/": ("kernels/kernel.h", "immintrin.h"),
    "src/linear/": (PUBLIC, "core/", "layout/", "kernels/"),
    "src/roofs/": (PUBLIC, "core/", "kernels/"),
    "src/report/": (PUBLIC, "core/", "quantize/"),
    "src/io/": (PUBLIC, "core/", "layout/", "io/", "fcntl.h", "unistd.h", "sys/"),
    "src/io/gguf/": (PUBLIC, "core/", "io/"),
    "src/io/digest.cpp": (PUBLIC, "xxhash.h"),
    "src/io/json/": ("core/", "nlohmann/"),
    "src/io/metadata.cpp": (PUBLIC, "core/", "io/", "nlohmann/"),
    "src/io/folder/shard_index.cpp": (PUBLIC, "core/", "io/", "nlohmann/"),
    "src/io/safetensors/header.cpp": (PUBLIC, "core/", "io/", "nlohmann/"),
    "src/checkpoint/": (PUBLIC, "core/", "io/"),
    "src/checkpoint/clients/": (PUBLIC, "core/", "io/json/", "nlohmann/"),
    "src/checkpoint/convert/": (PUBLIC, "checkpoint/", "core/", "io/"),
    "src/checkpoint/convert/gguf/": (PUBLIC, "checkpoint/", "core/", "io/", "nlohmann/"),
    "src/checkpoint/foreign/": (PUBLIC, "checkpoint/clients/", "core/", "io/"),
    "src/checkpoint/foreign/gguf.cpp": (PUBLIC, "core/", "io/", "layout/layout_row.h"),
    "src/checkpoint/json.cpp": (PUBLIC, "nlohmann/"),
    "src/checkpoint/page/": (PUBLIC, "checkpoint/", "core/", "io/"),
    "src/checkpoint/target/": (PUBLIC, "checkpoint/", "core/", "io/", "target/target_row.h"),
    "src/checkpoint/rules/rules.cpp": (PUBLIC, "checkpoint/clients/", "core/", "fnmatch.h"),
    "src/checkpoint/rules/": (PUBLIC, "checkpoint/clients/", "core/", "io/", "nlohmann/"),
    "src/quantizer.cpp": (PUBLIC,),
    "cli/": (PUBLIC, "CLI/", "text/", "bench/", "unistd.h", "sys/"),
    "python/src/": (PUBLIC, "nanobind/", "Python.h"),
    "benchmarks/": (PUBLIC, "kernels/", "linear/", "random_values.h", "benchmark/"),
    "examples/": (PUBLIC,),
    "tests/consume/": (PUBLIC,),
    "tests/oracle/": (),
    "tests/fuzz/": (PUBLIC, "checkpoint/", "io/", "fuzz/", "unistd.h", "sys/"),
    "tests/": (PUBLIC, "core/", "quantize/", "layout/", "kernels/", "linear/", "io/", "oracle/", "support/", "files/",
               "gtest/", "gmock/", "nlohmann/", "fcntl.h", "pthread.h", "unistd.h", "sys/"),
    "tests/other_device/": ("ATen/", "c10/", "torch/"),
}  # fmt: skip


def is_standard(name: str) -> bool:
    return re.fullmatch(r"[a-z_0-9]+", name) is not None


def own_folder(path: str) -> str:
    return str(Path(path.removeprefix("src/")).parent) + "/"


def forbidden(path: str, text: str) -> list[str]:
    """The includes of `path` that the table does not allow."""
    rules = [prefix for prefix in ALLOWED if path.startswith(prefix)]
    if not rules:
        return [f"{path}: no rule for this folder; add one to tools/check_layers.py"]
    allowed = ALLOWED[max(rules, key=len)]
    problems = []
    for match in INCLUDE.finditer(text):
        quote, name = match.groups()
        own = quote == '"' and ("/" not in name or name.startswith(own_folder(path)))
        if not (own or name.startswith(allowed) or (quote == "<" and is_standard(name))):
            line = text.count("\n", 0, match.start()) + 1
            problems.append(f"{path}:{line}: may not include {name}")
    return problems


def self_test() -> None:
    assert not forbidden("src/layout/i8.cpp", '#include "core/fail.h"\n#include <bnq/layout.h>\n#include <span>\n')
    assert forbidden("src/layout/i8.cpp", '#include "quantize/granules.h"\n')
    assert forbidden("src/kernels/scalar/x.cpp", '#include "core/parallel.h"\n')
    assert forbidden("include/bnq/json.h", "#include <nlohmann/json.hpp>\n")
    assert forbidden("tests/oracle/absmax.h", "#include <bnq/bnq.h>\n")
    assert forbidden("cli/main.cpp", '#include "core/fail.h"\n')
    assert forbidden("new_folder/x.cpp", "")


def main() -> int:
    if "--self-test" in sys.argv:
        self_test()
        return 0
    list_files = ["git", "ls-files", "-co", "--exclude-standard", "*.h", "*.cpp"]
    files = [f for f in subprocess.check_output(list_files, text=True).split() if Path(f).exists()]
    problems = [p for f in files for p in forbidden(f, Path(f).read_text(encoding="utf-8"))]
    print("\n".join(problems) or f"check_layers: {len(files)} files, no forbidden include")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
