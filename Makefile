# kph. Both commands of the README set up what is missing first, which costs nothing the second time.
#
#   make run     test the reference series on Linux 7.3; ARGS="..." adds options of `kph run`
#   make test    linters, types, unit tests, and tests with real kernels
#   make setup   only set up      make lint | unit | vm   parts of make test
#   make vm-all      the tests with real kernels, everything: also what is too slow for each make test
#   make mutations   every mutation of the reference series and the SMMU's driver (make test runs some of them)
#   make flavours    the reference series with every flavour on every target (builds two kernels; the base only if one of them fails)
#   make qemu-patches   leave out, in turn, the patches to QEMU that can be (builds QEMU a dozen times)
#   make bench       measure speed, memory and disk beside make and virtme-ng; ARGS="--only a,b --runs 5" (an hour)
#   make steady      the same run fifty times over, half of them on a loaded host (docs/steadiness.md)
#   make clean   remove what tools left in the checkout   make distclean   the Python environment, too

.DEFAULT_GOAL := help
.PHONY: help run test setup lint unit vm vm-all mutations flavours qemu-patches bench steady clean distclean

BIN := .venv/bin
# Unit tests run beside each other. Tests with kernels do not: each of them keeps two guests busy.
UNIT := $(BIN)/pytest tests/unit --numprocesses auto
SERIES := examples/driver-owned-pasid/v2.mbox

help:
	@sed -n 's/^#   //p' Makefile

run: setup
	@$(BIN)/kph run --tree debian:7.3 --series $(SERIES) --target x86_64-vtd $(ARGS)

test: lint
	@$(UNIT) $(ARGS)
	@$(BIN)/pytest tests/vm $(ARGS)

lint: setup
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary

unit: setup
	@$(UNIT) $(ARGS)

vm: setup
	@$(BIN)/pytest tests/vm $(ARGS)

vm-all: setup
	@KPH_ALL=1 KPH_ALL_MUTATIONS=1 $(BIN)/pytest tests/vm $(ARGS)

mutations: setup
	@KPH_ALL_MUTATIONS=1 $(BIN)/pytest tests/vm/test_mutations.py $(ARGS)

flavours: setup
	@KPH_ALL=1 $(BIN)/pytest tests/vm/test_flavours.py $(ARGS)

qemu-patches: setup
	@KPH_ALL_PATCHES=1 $(BIN)/pytest tests/vm/test_qemu_patches.py $(ARGS)

bench: setup
	@$(BIN)/python -m benchmarks $(ARGS)

steady: setup
	@$(BIN)/python -m benchmarks.steady $(ARGS)

setup:
	@.ci/setup.sh

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find harness tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv
