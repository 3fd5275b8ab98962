# The commands of this project. `make` lists them. Both `make demo` and `make test` set the machine up by themselves.
VENV := $(CURDIR)/build/venv
PYTHON := $(VENV)/bin/python
CPP_FILES = $(shell git ls-files -co --exclude-standard '*.h' '*.cpp')
PYTHON_FILES = $(shell git ls-files -co --exclude-standard '*.py')
STEPS := format-check lint layers budget dev seal emulate python asan clang fuzz consume docs wheel
FUZZ_SECONDS ?= 20

export VIRTUAL_ENV := $(VENV)
export PATH := $(VENV)/bin:$(PATH)
export CMAKE_CXX_COMPILER_LAUNCHER ?= $(shell command -v ccache)
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(shell nproc)
ifneq ($(CMAKE_CXX_COMPILER_LAUNCHER),)
export CCACHE_BASEDIR ?= $(CURDIR)
endif

.PHONY: help demo test build bench setup $(STEPS) format tidy aarch64 mutations clean
.DEFAULT_GOAL := help

help:  ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*##  *\(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo:  ## quantize a real model and show what was gained and lost (needs apt and pip only)
	@tools/setup.sh demo
	@tools/demo

test: setup  ## everything CI runs, step by step, timed
	@tools/steps.sh $(STEPS)

build:  ## release build of the library and the command line: build/release/cli/bnq
	@tools/setup.sh demo
	cmake --preset release
	cmake --build --preset release

bench:  ## times bnq beside other libraries, in turns: tables, JSON, a picture for the docs (10 minutes; ARGS=--quick: 7)
	@tools/setup.sh bench
	cmake --preset bench
	cmake --build build/bench
	@mkdir -p build/bench/results
	build/bench/benchmarks/bnq_benchmarks --benchmark_out=build/bench/results/kernels.json
	PYTHONPATH=build/bench/python $(PYTHON) benchmarks/run.py --out build/bench/results --docs docs/_static/bench $(ARGS)

setup:
	@tools/setup.sh test

format: setup  ## rewrite C++ and Python in the house style
	clang-format -i $(CPP_FILES)
	ruff check --select I --fix -q $(PYTHON_FILES)
	ruff format $(PYTHON_FILES)

format-check: setup  ## step: is everything formatted?
	clang-format --dry-run -Werror $(CPP_FILES)
	ruff format --check $(PYTHON_FILES)

lint: setup  ## step: ruff and mypy; does each mutation still find its line?
	ruff check $(PYTHON_FILES)
	mypy
	$(PYTHON) tools/check_mutations.py --places

tidy: dev  ## clang-tidy over src and cli (slow; not part of `make test`)
	run-clang-tidy -quiet -p build/dev '/(src|cli)/.*\.cpp$$'

layers: setup  ## step: does each folder include only what it may?
	$(PYTHON) tools/check_layers.py --self-test
	$(PYTHON) tools/check_layers.py

budget: setup  ## step: file, function, folder and parameter budgets
	$(PYTHON) tools/check_budget.py --self-test
	$(PYTHON) tools/check_budget.py

dev: setup  ## step: g++ build with warnings as errors, C++ tests
	cmake --preset dev
	cmake --build --preset dev
	ctest --preset dev

seal: setup  ## step: no instruction of a kernel folder outside it (on the library of `make dev`)
	$(PYTHON) tools/check_seal.py --self-test
	$(PYTHON) tools/check_seal.py build/dev/src/libbnq.a

emulate: setup  ## step: the command line on an emulated CPU without AVX (on the build of `make dev`)
	tools/check_emulated.sh build/dev/cli/bnq

python: setup  ## step: Python and command line tests, on the build of `make dev`
	cmake --preset dev >/dev/null
	cmake --build --preset dev
	PYTHONPATH=build/dev/python BNQ_CLI=$(CURDIR)/build/dev/cli/bnq $(PYTHON) -m pytest tests/python tests/cli tests/benchmarks
	PYTHONPATH=build/dev/python BNQ_CLI=$(CURDIR)/build/dev/cli/bnq TORCH_COMPILE_DISABLE=1 $(PYTHON) -m pytest tests/clients
	PYTHONPATH=build/dev/python $(PYTHON) -m pytest tests/other_device

asan: setup  ## step: C++ tests under the address and undefined-behaviour sanitizers
	cmake --preset asan
	cmake --build --preset asan
	ctest --preset asan
	BNQ_CLI=$(CURDIR)/build/asan/cli/bnq $(PYTHON) -m pytest tests/cli/test_cli_folder.py tests/cli/test_cli_bad_input.py

fuzz: setup  ## step: libFuzzer on every reader of foreign files (FUZZ_SECONDS=20 each)
	cmake --preset fuzz
	cmake --build --preset fuzz
	tools/fuzz.sh $(FUZZ_SECONDS)

clang: setup  ## step: clang++ builds the library and the command line without a warning
	cmake --preset clang
	cmake --build --preset clang

aarch64: setup  ## C++ tests cross-built for aarch64 (apt: g++-aarch64-linux-gnu qemu-user)
	cmake --preset aarch64
	cmake --build --preset aarch64
	ctest --preset aarch64

consume: setup  ## step: outside projects use bnq by find_package and by add_subdirectory
	tests/consume/run.sh

docs: setup  ## step: build/docs/index.html, warnings are errors, examples are run
	cmake --preset dev >/dev/null
	cmake --build --preset dev
	PYTHONPATH=build/dev/python $(PYTHON) -m sphinx -W -n --keep-going -q -b html docs build/docs
	PYTHONPATH=build/dev/python $(PYTHON) -m sphinx -W -q -b doctest docs build/docs-doctest
	$(PYTHON) tools/check_docs.py build/docs

wheel: setup  ## step: build the wheel, install it in a fresh environment, use it
	tools/check_wheel.sh

mutations: setup  ## break the numeric core in some 70 places; a test must notice each (slow; not part of `make test`)
	$(PYTHON) tools/check_mutations.py

clean:  ## remove everything built
	rm -rf build
