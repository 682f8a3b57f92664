# quickstart and test are all that a new user needs; the rest is for those who work on it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CLUSTER := tests/cluster/k8s/cluster.py

.PHONY: help quickstart test unit engine slow cluster cluster-down test-cluster lint types format clean \
  bench-start bench-grid bench-load bench-slo bench-search bench-truth bench-cluster chaos chaos-cluster
.DEFAULT_GOAL := help

help:
	@echo "make quickstart   from nothing to a proven winner on the embedded engine, about five minutes"
	@echo "make test         lint, types, unit tests and tests on the real engine"
	@echo "make slow         kills, many nodes, the wheel: many minutes"
	@echo "make test-cluster tests on a real Kubernetes on this machine; needs root and Go, which builds it once"
	@echo "make chaos        100 kill -9 of random parts of running searches: about an hour, a table of what came of it"
	@echo "make chaos-cluster  30 more on the cluster: engine pods and the webhook among them"
	@echo "make cluster      bring that Kubernetes up and leave it up for test-cluster; make cluster-down ends it"
	@echo "make bench-start  what a run costs beside deploying and measuring"
	@echo "make bench-load   the load generator's own error and cost against a server whose truth is known"
	@echo "make bench-slo    the highest rate under the SLO, on servers whose true one is known; more than an hour"
	@echo "make bench-search what the search costs until it has found a good configuration, beside what people use"
	@echo "make bench-truth  how often the verdict is right, on replayed runs whose truth is known"
	@echo "make bench-cluster  1,000 trials, 50 at a time, on stand-in nodes of a real API server; needs what test-cluster needs"
	@echo "make bench-grid   the quickstart space, measured whole by brute force"

$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] + "; set PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

quickstart: $(INSTALLED)
	$(BIN)/python -m tuner.search search_spaces/quickstart.yaml

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(INSTALLED)
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

unit: $(INSTALLED)
	$(BIN)/pytest -n 2 -m 'not engine and not slow and not cluster'

engine: $(INSTALLED)
	$(BIN)/pytest -m engine

test: lint types unit engine

slow: $(INSTALLED)
	$(BIN)/pytest -m slow

cluster: $(INSTALLED)
	@$(BIN)/python $(CLUSTER) up

cluster-down: $(INSTALLED)
	@$(BIN)/python $(CLUSTER) down

# Built before pytest's clock runs. 3: it cannot be had here, and the tests say what is missing.
test-cluster: $(INSTALLED)
	@$(BIN)/python $(CLUSTER) build || [ $$? = 3 ]
	$(BIN)/pytest -m cluster

# SEED=... draws the same again.
chaos: $(INSTALLED)
	$(BIN)/python tests/chaos/chaos.py --kills $(or $(KILLS),100) $(if $(SEED),--seed $(SEED))

chaos-cluster: $(INSTALLED)
	@$(BIN)/python $(CLUSTER) build
	CHAOS_KILLS=$(or $(KILLS),30) CHAOS_SEED=$(or $(SEED),20) $(BIN)/pytest -s -k random_parts tests/cluster/test_whole_kills.py

bench-start: $(INSTALLED)
	$(BIN)/python benchmarks/start.py

# PEERS=all runs genai-bench, guidellm, aiperf and inference-perf beside it, each in a venv of its own.
bench-load: $(INSTALLED)
	$(BIN)/python benchmarks/load.py --peers $(or $(PEERS),none) --markdown

bench-slo: $(INSTALLED)
	$(BIN)/python benchmarks/slo.py --seeds $(or $(SEEDS),20)

# FULL=--full runs Optuna's samplers and BoTorch anew, in an environment of their own: hours.
bench-search: $(INSTALLED)
	$(BIN)/python benchmarks/search.py $(FULL)

# RUNS=200 for a first look.
bench-truth: $(INSTALLED)
	$(BIN)/python benchmarks/verdict.py --runs $(or $(RUNS),1000)

bench-cluster: $(INSTALLED)
	@$(BIN)/python $(CLUSTER) build
	TUNER_FAKE_TRIALS=$(or $(TRIALS),1000) TUNER_FAKE_PARALLEL=$(or $(PARALLEL),50) \
	  $(BIN)/pytest -s -k many_trials tests/cluster/test_api_calls.py

bench-grid: $(INSTALLED)
	$(BIN)/python benchmarks/grid.py show search_spaces/quickstart.yaml benchmarks/data/quickstart_grid.csv

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
