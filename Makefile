# Every target sets up what it needs by itself; `make help` lists them.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
# Named after the content of what is installed, so that set-up runs again when that changes and only then.
STAMP := $(VENV)/.setup-$(shell cat requirements.lock pyproject.toml | cksum | tr ' ' '-')
# How pytest shares the tests among processes: by file, in the order in which tests/conftest.py puts them.
IN_TWO := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-quick test-cluster lint docs notebooks up down lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install everything from requirements.lock into .venv

$(STAMP):
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "setup: $(PYTHON) is missing; on Debian: apt-get install python3.11 python3.11-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "setup: $(PYTHON) has no venv module; on Debian: apt-get install python3.11-venv" >&2; exit 1; }
	@echo "setup: installing requirements.lock into $(VENV) (about 4 GB, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ { on = 1 } on { print } on && !/\\$$/ { exit }' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $(VENV)/uv.txt
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --require-hashes \
	  -r requirements.lock || { \
	  echo "setup: uv did not succeed; installing with pip, which takes some minutes"; \
	  $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock; }
	@$(BIN)/python -m pip install --quiet --quiet --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.setup-* && touch $@

demo: $(STAMP) ## train a detector end to end [DATASET=folder or s3://..., IMAGES=n, EPOCHS=n, CLUSTER=1]
	@echo "demo: starting the local stack, training through Airflow, stopping it again"
	@$(BIN)/boxwright demo $(if $(DATASET),--dataset "$(DATASET)") $(if $(IMAGES),--images $(IMAGES)) \
	  $(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(CLUSTER),--cluster)

test: $(STAMP) ## run the test suite [LONG=1: with the scenarios that take an hour more]
	@command -v redis-server >/dev/null 2>&1 || { test "$$(id -u)" = 0 && { \
	  echo "test: installing redis-server, for a stack that stands for several machines"; \
	  apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends redis-server >/dev/null; }; } || \
	  echo "test: redis-server is missing, so no cluster is tried; on Debian: apt-get install redis-server" >&2
	@command -v chromium >/dev/null 2>&1 || { test "$$(id -u)" = 0 && { \
	  echo "test: installing chromium, to look at the reports with"; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; }; } || \
	  echo "test: chromium is missing, so no page is looked at; on Debian: apt-get install chromium" >&2
	@echo "test: running the whole suite in two processes"
	@$(BIN)/python -m pytest $(IN_TWO) --durations=25 -rs $(if $(LONG),--long)

test-quick: $(STAMP) ## run the tests that need no stack, no browser and little time
	@echo "test-quick: running the quick part of the suite in two processes"
	@$(BIN)/python -m pytest $(IN_TWO) --quick -rs

test-cluster: $(STAMP) ## run trainings over two workers on machines of their own [LONG=1: with all faults, an hour more]
	@echo "test-cluster: starting a stack that stands for several machines"
	@$(BIN)/python -m pytest tests/cluster tests/metadata tests/doctor -rs -s $(if $(LONG),--long)

lint: $(STAMP) ## check style, types and declared dependencies
	@echo "lint: ruff check, ruff format, mypy, deptry"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/deptry components plugins dags

docs: $(STAMP) ## write the pages that follow from the code, and build the site in build/site; a broken link fails
	@echo "docs: writing the pages that follow from the code, building build/site"
	@PYTHONPATH=components:plugins $(BIN)/python -m docs.generator
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

notebooks: $(STAMP) ## run the notebooks and write their pages; it trains models, for half an hour
	@echo "notebooks: running each, writing docs/notebooks"
	@PYTHONPATH=components:plugins $(BIN)/python -m docs.generator.notebooks

up: $(STAMP) ## start S3, MLflow and Airflow on this machine and leave them running [CLUSTER=1: as on several]
	@echo "up: starting the local stack"
	@$(BIN)/boxwright up $(if $(CLUSTER),--cluster)

down: $(STAMP) ## stop what `make up` started
	@echo "down: stopping the local stack"
	@$(BIN)/boxwright down

# All extras but gpu, whose libraries take gigabytes that only a machine with a GPU needs.
lock: $(STAMP) ## resolve pyproject.toml into requirements.lock, keeping its pins [UPGRADE=1: the newest of all]
	@echo "lock: resolving pyproject.toml with overrides.txt"
	@$(BIN)/uv pip compile --quiet --python-version 3.11 --override overrides.txt --generate-hashes \
	  $(if $(UPGRADE),--upgrade) --extra stack --extra cluster --extra export --extra beam --group dev \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	  pyproject.toml --output-file requirements.lock

clean: ## remove caches and build products; .venv and var/ stay
	@echo "clean: removing caches and build products"
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
