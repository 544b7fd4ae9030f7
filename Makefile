# Ratchet: everything one does from a shell. `make` lists the targets.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
EXECUTORS ?= 1
STACK := $(RUN) -m local_stack

.DEFAULT_GOAL := help
.PHONY: help setup up down reset status servers demo test check lint types format imports bench chaos lock clean

help: ## Show this list
	@if [ -t 1 ]; then on=$$(printf '\033[36m'); off=$$(printf '\033[0m'); fi; \
	awk -F ':.*## ' -v on="$$on" -v off="$$off" \
		'/^[a-z-]+:.*## / { printf "  %s%-10s%s %s\n", on, $$1, off, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv with the locked packages (instant when nothing changed)
	@command -v $(PYTHON) >/dev/null || { echo "setup   No $(PYTHON) found. Python 3.11 or newer is needed; on Debian and Ubuntu: apt-get install python3 python3-venv"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "setup   Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) deploy/local_stack/set_up.py --venv $(VENV)

up: setup ## Run the platform here until Ctrl-C (DETACH=1: in the background; EXECUTORS=2: more executors)
	@$(STACK) up --executors $(EXECUTORS) $(if $(filter-out 0 no false,$(DETACH)),--detach)

down: setup ## Stop the platform; its data is kept
	@$(STACK) down

reset: setup ## Stop the platform and delete its data
	@$(STACK) reset

status: setup ## Show what runs
	@$(STACK) status || true

servers: setup ## Run only Postgres, RabbitMQ and Valkey (DETACH=1: in the background)
	@$(STACK) servers $(if $(filter-out 0 no false,$(DETACH)),--detach)

demo: setup ## Show the main job on real servers, failures and recoveries included
	@$(STACK).demo

test: setup ## Run the whole test suite on real servers
	@$(RUN) -m pytest

check: lint types imports ## What one runs before a commit: lint, types, import contracts, unit tests
	@$(RUN) -m pytest tests/unit tests/architecture

lint: setup ## Check style and formatting
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

types: setup ## Check types
	@$(VENV)/bin/mypy

imports: setup ## Check who imports whom
	@$(VENV)/bin/lint-imports

format: setup ## Format the code and sort its imports
	@$(VENV)/bin/ruff check --fix-only --quiet .
	@$(VENV)/bin/ruff format .

lock: setup ## Write both lock files from pyproject.toml (UPGRADE=1: take the newest versions)
	@$(VENV)/bin/uv --version >/dev/null 2>&1 || $(RUN) -m pip install --quiet --disable-pip-version-check uv
	@$(VENV)/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q $(if $(UPGRADE),--upgrade) -o requirements.lock
	@$(VENV)/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q $(if $(UPGRADE),--upgrade) --group dev -c requirements.lock -o requirements-dev.lock

bench: setup ## Measure speed and recovery on real servers (PARTS="w1 latency", QUICK=1 for a smoke run)
	@$(RUN) -m tests.bench $(if $(QUICK),--quick) $(PARTS)
	@$(if $(PARTS)$(QUICK),,$(RUN) -m tests.bench.kill_to_resume)

chaos: setup ## Break things while workflows run, then settle up (FAULTS="broker-killed", SEED=7, QUICK=1 for a smoke run)
	@$(RUN) -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(QUICK),--seconds 6) $(FAULTS)

clean: ## Delete caches and build results (not .venv, not the platform's data)
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
