# Every target sets up what it needs. `make demo` and `make test` are all a new machine wants.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Ask the machine's own certificate store: company proxies and mirrors live there.
UV_INSTALL := $(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python
SOURCES := layers tests bench examples stacks functions app.py

.PHONY: help demo test test-fast lint fix check up docs bench lock clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/uv: requirements/bootstrap.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements/bootstrap.txt
	@touch $@

# What the product needs, at the locked versions.
$(VENV)/.run: $(BIN)/uv requirements/run.lock pyproject.toml
	$(UV_INSTALL) --require-hashes -r requirements/run.lock
	$(UV_INSTALL) --no-deps --editable .
	@touch $@

# What building and testing it needs on top.
$(VENV)/.dev: $(VENV)/.run requirements/dev.lock
	$(UV_INSTALL) --require-hashes -r requirements/dev.lock
	@touch $@

demo: $(VENV)/.run  ## The main job on real input, from nothing
	@$(BIN)/python examples/demo.py

up: $(VENV)/.run  ## The whole cloud on this machine, in the foreground
	$(BIN)/hookline up

test: $(VENV)/.dev  ## Every test that runs without AWS, Docker or a GPU
	$(BIN)/pytest -m "not gpu and not aws" $(PYTEST_ARGS)

test-fast: $(VENV)/.dev  ## Unit, contract and property tests only
	$(BIN)/pytest -m "not gpu and not aws and not slow" tests/unit tests/contract tests/property

lint: $(VENV)/.dev  ## Style, types and architecture
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/.dev  ## Mend what can be mended without thinking
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

check: lint docs test  ## All that must pass before a change lands

docs: $(VENV)/.dev  ## Build the documentation into site/
	$(BIN)/mkdocs build --quiet --strict

bench: $(VENV)/.dev  ## Measure, side by side, and write bench/results/
	$(BIN)/python -m bench

lock: $(BIN)/uv  ## Write requirements/*.lock anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --system-certs --universal --generate-hashes --no-header \
	  --no-annotate --python-version 3.11 pyproject.toml -o requirements/run.lock
	$(BIN)/uv pip compile --quiet --system-certs --universal --generate-hashes --no-header \
	  --no-annotate --python-version 3.11 --extra dev pyproject.toml -o requirements/dev.lock

clean:  ## Remove what was built, the virtual environment included
	rm -rf $(VENV) site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
