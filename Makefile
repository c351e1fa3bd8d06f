# Everything runs in .venv, made from the locks: versions and hashes, no addresses.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
# uv reads its own variable; whoever has set pip's index keeps it.
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
ifeq ($(strip $(UV_DEFAULT_INDEX)),)
unexport UV_DEFAULT_INDEX
endif

.DEFAULT_GOAL := help
.PHONY: help demo test check bench chaos lock clean

help: ## show this
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.run ## set up, then play the reference project through the year 2013
	@$(BIN)/tidegate demo

test: $(VENV)/.dev ## set up, then run the tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.dev ## layers, types, lint
	@$(BIN)/lint-imports
	@$(BIN)/mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

bench: $(VENV)/.dev ## print seconds and peak memory, as ratios in one run
	@$(BIN)/python benchmarks/run.py $(ONLY)

chaos: $(VENV)/.dev ## kill -9 a demo at 25 random moments (RUNS=10 KILLS=1: ten demos once each), a worker, Prefect's server
	@TIDEGATE_RUNS=$(or $(RUNS),1) TIDEGATE_KILLS=$(or $(KILLS),25) $(BIN)/python -m pytest tests/chaos tests/integration/test_worker.py -n 2 --dist load -v -rP

lock: $(VENV)/.uv ## resolve pyproject.toml into the two locks
	@$(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -o requirements.lock
	@$(BIN)/uv pip compile -q pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -c requirements.lock -o requirements-dev.lock

clean: ## remove the environment and the state (the ledger too)
	@rm -rf $(VENV) .tidegate anchors

$(VENV)/.uv:
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

# Compiled at install: without that every first import of the five tools is two to four times slower.
$(VENV)/.run: $(VENV)/.uv requirements.lock pyproject.toml
	@echo "setting up (about a minute the first time)"
	@$(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode --require-hashes -r requirements-dev.lock
	@touch $@
