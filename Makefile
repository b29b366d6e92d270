# peernotes: `make run` starts it, `make test` proves it, `make help` lists the rest.
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run test check demo bench load soak pins clean

help: ## list what make can do here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: .venv/run.stamp ## install if needed, then serve on 127.0.0.1:8000 with demo data under var/
	@$(BIN)/peernotes run

demo: .venv/run.stamp ## play the mission against the running service
	@$(BIN)/peernotes demo

test: .venv/test.stamp ## run every test, on SQLite and PostgreSQL
	@$(BIN)/python -m pytest -n 2

check: .venv/test.stamp ## lint, format, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/test.stamp ## measure the service beside its floor; writes docs/performance.md
	@$(BIN)/python -m bench

load: .venv/test.stamp ## load the larger synthetic export on both databases, in LOAD_SECONDS (180) each
	@LOAD=1 $(BIN)/python -m pytest tests/cli/test_load.py -s

soak: .venv/test.stamp ## kill the ledger's processes at random for CRASH_SECONDS (300)
	@CRASH_SECONDS=$${CRASH_SECONDS:-300} $(BIN)/python -m pytest tests/audit/test_crash.py -s

pins: ## rewrite requirements/*.txt from pyproject.toml (maintainers; needs uv)
	@deploy/pins

clean: ## remove the virtual environment (never touches var/)
	rm -rf .venv

.venv/%.stamp: requirements/%.txt pyproject.toml deploy/install
	@deploy/install $* $(PYTHON)
