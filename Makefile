# One command each: `make demo`, `make test`, `make check`. Everything is set up in .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Three workers per core, two for gate sizes: most tests that take real time wait for other processes. At most 18, since
# every worker has loopback addresses of its own, and each make's block of them has room for as many.
CORES  := $(shell nproc 2>/dev/null || echo 2)
JOBS   ?= $(shell n=$$(( $(CORES) * 3 )); echo $$(( n < 18 ? n : 18 )))
SLOW_JOBS ?= $(shell n=$$(( $(CORES) * 2 )); echo $$(( n < 18 ? n : 18 )))
# Every test worker and every process that a test starts would compile all of it anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo deb bundle test test-slow costs check format bench readme constraints clean

help: ## say what can be made
	@grep -E '^[a-z -]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

# First what others made, each file known by its hash; then ourselves, for which nothing is fetched any more.
PIP = $(BIN)/pip install --quiet --disable-pip-version-check
$(STAMP): pyproject.toml constraints/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r constraints/dev.txt
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

# Whole for every platform and for each of our Pythons. dev.txt is for `make` and CI; agent.txt and cloud.txt, for the images,
# hold the same versions; build.txt is what builds us. Where the files come from is a matter of who installs them.
RENEW   := .venv-constraints
COMPILE := $(RENEW)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command 'make constraints'
constraints: ## the newest versions that fit, with their hashes
	$(PYTHON) -m venv $(RENEW)
	$(RENEW)/bin/pip install --quiet --disable-pip-version-check uv
	$(PYTHON) -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" >$(RENEW)/build.in
	$(COMPILE) --upgrade --extra dev pyproject.toml $(RENEW)/build.in --output-file constraints/dev.txt
	$(COMPILE) --constraint constraints/dev.txt pyproject.toml --output-file constraints/agent.txt
	$(COMPILE) --constraint constraints/dev.txt --extra cloud pyproject.toml --output-file constraints/cloud.txt
	$(COMPILE) --constraint constraints/dev.txt $(RENEW)/build.in --output-file constraints/build.txt

demo: $(STAMP) ## a cloud, a simulated farm and an agent on loopback, every task name, proof in a table
	$(BIN)/miner-agent demo --once

# Into dist/, for both Debians and both processors; PLATFORM=deb12_arm64 makes that one alone. Wheels are fetched once, by
# their hashes, into build/wheels; what is made of them fetches nothing.
PLATFORM ?=
deb bundle: $(STAMP) ## Debian packages of agent and cloud, or bundles that agents update themselves from, into dist/
	$(BIN)/python -m packages $@ $(PLATFORM:%=--platform=%)

# The standing budget in minutes (CONTRIBUTING.md). Every run ends with what it cost beside it; nothing asserts it.
BUDGET_TEST := 4, never above 8
BUDGET_CI   := 30, never above 50

# By file: the tests of one file may share addresses (the demo's, the judges'), those of two files never do. In the order
# of tests/conftest.py: what waits longest begins first.
PYTEST = MINER_AGENT_RUN='$@ ($(VENV))' MINER_AGENT_BUDGET='$(BUDGET)' \
	$(BIN)/pytest -q --durations=10 --dist loadfile --no-loadscope-reorder
test: BUDGET = $(BUDGET_TEST)
test: $(STAMP) ## the tests, in minutes
	$(PYTEST) -n $(JOBS) -m 'not slow'

# Gate sizes: crash gate, crash points, mutants, fuzz, judges side by side, since most of them wait; then, alone, what
# measures how hostile miners disturb a polling agent, and whole demos, which share the host's loopback.
ALONE := tests/system/test_hostile_miners.py tests/system/test_demo.py
test-slow: BUDGET = $(BUDGET_CI), for all of .ci/run
test-slow: $(STAMP) ## crash gate, crash points, fuzz at full size, judges
	$(PYTEST) -n $(SLOW_JOBS) -m slow $(ALONE:%=--ignore=%)
	$(PYTEST) -m slow $(ALONE)

costs: $(STAMP) # of .ci/run, which keeps them in MINER_AGENT_COSTS
	@MINER_AGENT_BUDGET='$(BUDGET_CI)' $(BIN)/python -m tests.cost $(MINER_AGENT_COSTS)

check: $(STAMP) ## lint, format, types, the rules of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_architecture.py

format: $(STAMP) ## let the formatter decide
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## figures and ratios, printed; never a timed test
	$(BIN)/python -m bench

readme: $(STAMP) ## put the table of supported miners into the README
	$(BIN)/python -m drivers.supported README.md

clean: ## forget the environment and the caches
	rm -rf .venv* .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
