#!/usr/bin/env bash
# Builds the ggml that llama-cpp-python carries, for this CPU, into build/ggml/lib: half a minute on two cores, where all
# of llama.cpp, of which nothing else is timed, takes four.
set -euo pipefail
cd "$(dirname "$0")/.."

package=llama_cpp_python-0.3.36
[ -e "build/ggml/$package.built" ] && exit
echo "setup: building ggml from $package"
build/venv/bin/pip download -q --no-deps --no-build-isolation --no-binary :all: -d build/ggml "${package/-/==}" || {
  echo "setup: pip could not get the source of $package; it needs a package index (PIP_INDEX_URL) or PIP_FIND_LINKS" >&2
  exit 1
}
tar -xzf "build/ggml/$package.tar.gz" -C build/ggml
source=build/ggml/$package/vendor/llama.cpp/ggml
touch "$source/ggml.pc.in" # CMake asks for it, and the package leaves it out
{
  cmake -S "$source" -B build/ggml/build -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DGGML_NATIVE=ON \
    -DGGML_BUILD_TESTS=OFF -DGGML_BUILD_EXAMPLES=OFF -DCMAKE_LIBRARY_OUTPUT_DIRECTORY="$PWD/build/ggml/lib"
  cmake --build build/ggml/build --target ggml-cpu -j "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
} >build/ggml/log.txt 2>&1 || {
  tail -20 build/ggml/log.txt >&2
  exit 1
}
touch "build/ggml/$package.built"
