# Every target sets up what it needs. `make demo` and `make test` are all a new machine wants.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Ask the machine's own certificate store: company proxies and mirrors live there.
UV_INSTALL := $(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python
SOURCES := layers tests bench examples stacks functions app.py

# Tests share the cores, but no more of them than they are worth: most of a test waits.
PARALLEL := -n logical --maxprocesses 4 --dist worksteal

# What stacks/bundling.py makes the layer for.
LAMBDA := --python-version 3.14 --python-platform aarch64-manylinux_2_28
# A deployment that is never made: `make synth` shows what `cdk deploy` would create for it.
SAMPLE := --context 'hookline:tenants=["acme","globex"]' \
  --context 'hookline:image=123456789012.dkr.ecr.eu-west-1.amazonaws.com/hookline:sample-{device}'
NEEDS_NODE = "The CDK runs on Node.js, and $(1) is not installed. Install Node.js 20 or later \
with npm, then run make again."

.PHONY: help demo test test-fast test-faults test-formats lint fix check up synth smoke-aws docs bench \
  bench-peers lock clean

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
	$(BIN)/pytest $(PARALLEL) -m "not gpu and not aws and not faults and not formats" $(PYTEST_ARGS)

test-faults: $(VENV)/.dev  ## Every fault at every step, and what kills real processes
	$(BIN)/pytest -m faults tests/fault tests/property $(PYTEST_ARGS)

test-formats: $(VENV)/.dev  ## Every format with the framework it comes from; fetches some gigabytes
	UV_FIND_LINKS="$${UV_FIND_LINKS:-$$PIP_FIND_LINKS}" \
	  $(BIN)/pytest -m "formats and not gpu" --timeout 3600 tests/e2e $(PYTEST_ARGS)

test-fast: $(VENV)/.dev  ## Unit, contract and property tests only
	$(BIN)/pytest $(PARALLEL) \
	  -m "not gpu and not aws and not slow and not faults and not formats" \
	  tests/unit tests/contract tests/property

smoke-aws: $(VENV)/.dev node_modules/.package-lock.json  ## Try a deployed TENANT=… [STAGE=dev] [DEPLOY=1 IMAGE=…]
	@test -n "$(TENANT)" || { echo "Which tenant? make smoke-aws TENANT=acme" >&2; exit 1; }
	@test -z "$(DEPLOY)" || test -n "$(IMAGE)" || { echo "DEPLOY=1 needs IMAGE=…" >&2; exit 1; }
	SMOKE_TENANT=$(TENANT) SMOKE_STAGE=$(or $(STAGE),dev) SMOKE_DEPLOY=$(DEPLOY) \
	  SMOKE_IMAGE='$(IMAGE)' $(BIN)/pytest -m aws -s tests/aws

lint: $(VENV)/.dev  ## Style, types and architecture
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint containers/runtime/Dockerfile.*

fix: $(VENV)/.dev  ## Mend what can be mended without thinking
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

check: lint docs synth test  ## All that must pass before a change lands

# The command line of the CDK, at its locked version. npm takes it from where its settings say.
node_modules/.package-lock.json: package.json package-lock.json
	@command -v node >/dev/null || { echo $(call NEEDS_NODE,node) >&2; exit 1; }
	@command -v npm >/dev/null || { echo $(call NEEDS_NODE,npm) >&2; exit 1; }
	npm ci --loglevel error --no-audit --no-fund
	@touch $@

synth: $(VENV)/.dev node_modules/.package-lock.json  ## Make the AWS templates into cdk.out/
	@rm -rf cdk.out
	npx --no-install cdk synth --quiet --output cdk.out $(SAMPLE)
	@$(BIN)/python -m stacks.counts cdk.out

docs: $(VENV)/.dev  ## Build the documentation into site/
	$(BIN)/mkdocs build --quiet --strict

bench-peers: $(VENV)/.dev  ## Measure beside other servers, each in its own environment
	$(BIN)/python -m bench.peers

bench: $(VENV)/.dev  ## Measure, side by side, and write bench/results/
	$(BIN)/python -m bench

lock: $(BIN)/uv  ## Write every lock anew: the package's, the Lambda layer's, the images'
	$(BIN)/uv pip compile --quiet --system-certs --universal --generate-hashes --no-header \
	  --no-annotate --python-version 3.11 pyproject.toml -o requirements/run.lock
	$(BIN)/uv pip compile --quiet --system-certs --universal --generate-hashes --no-header \
	  --no-annotate --python-version 3.11 --extra dev pyproject.toml -o requirements/dev.lock
	$(BIN)/uv pip compile --quiet --system-certs $(LAMBDA) --generate-hashes --no-header \
	  --no-annotate --constraint requirements/run.lock layers/hookline/requirements.in \
	  -o layers/hookline/requirements.txt
	containers/runtime/lock

clean:  ## Remove what was built, the virtual environment included
	rm -rf $(VENV) node_modules cdk.out site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
