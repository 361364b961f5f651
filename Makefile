# Commands for a checkout, on any machine with Python 3.11 or newer. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 3000
# An installation takes a minute: a terminal shows what is being installed, logs do not.
PIP_OUTPUT = $(shell test -t 2 || echo --quiet)
STUDY ?= sample
KILLS ?= 200
PUBLICATIONS ?= 100
INPUTS ?= 2000
FUZZ_SECONDS ?= 20
FACTORS ?= 1,10,100,1000
# One more than there are cores: end-to-end tests often wait for a server, a daemon or a deadline.
ON_ALL_CORES = -n $(shell $(PYTHON) -c 'import os; print(min(os.cpu_count(), 4) + 1)') --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup run replicate ui check test test-fast test-cluster bench bench-quick bench-growth crash concurrency fuzz audit lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)$$/make \1|\2/' | column -t -s '|'

setup: $(VENV)/.installed ## Create the virtual environment with the pinned requirements and the project

$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "dlbug needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) -V 2>&1`. Install one and run: make run PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_OUTPUT) --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

# Not part of `make test`: pyspark is a source archive of 456 MB, half a gigabyte unpacked. It is built without isolation,
# with the pinned build tools of this environment.
$(VENV)/.installed-cluster: requirements-cluster.txt $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --require-hashes -r requirements-cluster.txt
	@touch $@

run: setup ## Run the synthetic study, offline
	$(BIN)/dlbug run --study sample

replicate: setup ## Recompute the 2019 paper from its authors' labels
	$(BIN)/dlbug run --study islam2019

ui: setup ## Start Dagster's UI and daemon on 127.0.0.1 (STUDY=..., PORT=...)
	$(BIN)/dlbug ui --study $(STUDY) --port $(PORT)

check: $(VENV)/.installed-dev ## Run the linter, the formatter's check and the type checker
	$(BIN)/ruff check --no-cache dlbug_assets tests benchmarks
	$(BIN)/ruff format --no-cache --check --quiet dlbug_assets tests benchmarks
	$(BIN)/basedpyright --pythonpath $(BIN)/python

test: check ## Run the whole test suite, after the checks
	$(BIN)/python -m pytest $(ON_ALL_CORES)

test-fast: $(VENV)/.installed-dev ## Run the tests that are not marked slow, in about a minute and a half
	$(BIN)/ruff check --no-cache dlbug_assets tests benchmarks
	$(BIN)/python -m pytest $(ON_ALL_CORES) -m "not slow"

test-cluster: $(VENV)/.installed-cluster ## Run the tests on Spark and PostgreSQL (pyspark: 456 MB; Java 17, postgresql)
	$(BIN)/python -m pytest tests/ingest/test_spark.py tests/stackoverflow/dump/test_on_spark.py \
	  tests/github/clones/test_on_spark.py tests/e2e/test_cluster.py tests/e2e/test_postgres.py

bench: $(VENV)/.installed-dev ## Run the benchmarks, each as a ratio within one run
	$(BIN)/python -m benchmarks

bench-quick: $(VENV)/.installed-dev ## Run them once on smaller inputs, without the full run
	$(BIN)/python -m benchmarks --quick

bench-growth: $(VENV)/.installed-dev ## Measure the sample study at 1 to 1,000 times its size, step by step; takes hours (FACTORS=...)
	$(BIN)/python -m benchmarks.growth --factors $(FACTORS)

crash: $(VENV)/.installed-dev ## Kill runs 200 times and check for losses (KILLS=...); results in .artifacts/crashes.csv
	PYTHONPATH=tests $(BIN)/python -m support.crashes --kills $(KILLS) --output .artifacts/crashes.csv

concurrency: $(VENV)/.installed-dev ## Publish 100 times beside 50 readers (PUBLICATIONS=...); results in .artifacts/concurrency.csv
	PYTHONPATH=tests $(BIN)/python -m support.concurrency --publications $(PUBLICATIONS) --output .artifacts/concurrency.csv

fuzz: $(VENV)/.installed-dev ## Mutate inputs of every kind from outside and read them (INPUTS=..., FUZZ_SECONDS=..., both of each kind; SEED=...)
	PYTHONPATH=tests $(BIN)/python -m fuzz --inputs $(INPUTS) --seconds $(FUZZ_SECONDS) $(if $(SEED),--seed $(SEED))

audit: $(VENV)/.installed-dev ## Check the code (bandit) and its dependencies for vulnerabilities (queries an advisory service)
	$(BIN)/bandit -q -c pyproject.toml -r dlbug_assets benchmarks
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements.txt

lock: ## Update the pinned requirements (needs uv)
	uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-strip-extras --no-header --no-annotate -q -o requirements.txt
	uv pip compile pyproject.toml --extra mcp --group build --group dev -c requirements.txt --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-strip-extras --no-header --no-annotate -q -o requirements-dev.txt
	uv pip compile pyproject.toml --extra spark --extra postgres --extra mcp --group build --group dev -c requirements-dev.txt \
	  --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras --no-header --no-annotate \
	  -q -o requirements-cluster.txt

clean: ## Remove the virtual environment (generated data stays in warehouse/)
	rm -rf $(VENV)
