#!/usr/bin/env bash
# bnq as its users meet it: installed, as a subfolder, header by header, and misused.
set -euo pipefail
cd "$(dirname "$0")/../.."
source_dir=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cxx=${CXX:-g++}

configure() { cmake -G Ninja -DCMAKE_BUILD_TYPE=Release "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; return 1; }; }
build() { cmake --build "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; return 1; }; }

echo "consume: install, with find_package"
configure -S "$source_dir" -B "$work/bnq" -DBNQ_BUILD_TESTS=OFF -DBNQ_BUILD_CLI=OFF -DBNQ_BUILD_EXAMPLES=OFF
build "$work/bnq"
cmake --install "$work/bnq" --prefix "$work/installed" >/dev/null
# What was built and installed must not be needed from where it was built.
mv "$work/bnq" "$work/moved_away"
configure -S tests/consume/project -B "$work/by_package" -DCMAKE_PREFIX_PATH="$work/installed" \
  -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON
build "$work/by_package"
"$work/by_package/consumer"
if grep -rl "nlohmann\|CLI11\|$source_dir" "$work/installed/lib/cmake" "$work/installed/include"; then
  echo "consume: the installed package names its insides" >&2
  exit 1
fi

echo "consume: add_subdirectory"
configure -S tests/consume/project -B "$work/by_subdirectory" -DBNQ_SOURCE_DIR="$source_dir"
build "$work/by_subdirectory" --target consumer
"$work/by_subdirectory/consumer"
if [ -e "$work/by_subdirectory/bnq/cli" ] || [ -e "$work/by_subdirectory/bnq/tests" ]; then
  echo "consume: a subfolder build configures bnq's own programs" >&2
  exit 1
fi

flags=(-std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Werror -I "$work/installed/include")
headers=0
for header in "$work"/installed/include/bnq/*.h; do
  name=bnq/$(basename "$header")
  # Twice: the guard. Alone: nothing that it needs is missing.
  printf '#include <%s>\n#include <%s>\n' "$name" "$name" | "$cxx" "${flags[@]}" -x c++ -
  headers=$((headers + 1))
done
[ "$headers" -ge 15 ]
echo "consume: $headers public headers compile alone"

for file in tests/consume/must_not_compile/*.cpp; do
  expected=$(sed -n 's/.*EXPECT: //p' "$file")
  if "$cxx" "${flags[@]}" "$file" 2>"$work/log"; then
    echo "consume: $file compiled, and must not" >&2
    exit 1
  fi
  grep -Eq "$expected" "$work/log" || { cat "$work/log" >&2; echo "consume: $file failed for another reason" >&2; exit 1; }
  echo "consume: $(basename "$file") is refused, as it must be"
done
