# One command each: `make demo`, `make test`, `make check`. Everything is set up in .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
JOBS   ?= $(shell nproc 2>/dev/null || echo 2)

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow check format bench readme clean

help: ## say what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(STAMP) ## a cloud, a simulated farm and an agent on loopback, every task name, proof in a table
	$(BIN)/miner-agent demo --once

# By file: the tests of one file may share addresses (the demo's, the judges'), those of two files never do.
test: $(STAMP) ## the tests, in minutes
	$(BIN)/pytest -q -n $(JOBS) --dist loadfile -m 'not slow'

# Gate sizes, on 2 cores: crash points in two files of 15 min, all else in 15 (fuzz 3, hostile miners 4, judges 3, mutants 2,
# storage and watchdog 3), side by side; then the crash gate alone, 13.
GATE := tests/system/test_crash_gate.py
test-slow: $(STAMP) ## crash gate, fuzz at full size, judges: under an hour on 2 cores
	$(BIN)/pytest -q -m slow -n $(JOBS) --dist loadfile --ignore=$(GATE)
	$(BIN)/pytest -q -m slow $(GATE)

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
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
