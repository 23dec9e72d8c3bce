# Everything a developer or an operator types. `make help` lists it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install up demo test check lint security audit types imports lock bench chaos simulate fuzz clean

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

install: $(STAMP)  ## Make the virtual environment from the lock file
$(STAMP): requirements.lock setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=... (this is %s)" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

up: $(STAMP)  ## Start everything on this machine: stores, web, stream, workers, beat, Flower
	@$(BIN)/releasectl up

demo: $(STAMP)  ## Watch an application being released, failing and being rolled back
	@$(BIN)/releasectl demo $(DEMO_ARGS)

test: $(STAMP)  ## Run every test on real servers, which it starts and stops itself
	@$(BIN)/python -m pytest -n 3 --dist worksteal $(TEST_ARGS)

check: lint security types imports  ## Run every static check

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

security: $(STAMP)
	@$(BIN)/bandit --quiet --configfile pyproject.toml --confidence-level medium --recursive orchestrator api stream workers migrations celeryconfig.py

audit:  ## Ask PyPI for known weaknesses of what the image installs (needs uv and the network)
	uvx pip-audit --strict --requirement requirements-run.lock --disable-pip --ignore-vuln PYSEC-2025-183

types: $(STAMP)
	@$(BIN)/mypy

imports: $(STAMP)
	@$(BIN)/lint-imports --no-cache

lock: $(STAMP)  ## Resolve the dependencies anew (needs uv)
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header \
	  --no-emit-index-url --no-emit-find-links --extra embedded --extra dev --extra oidc --extra otel setup.cfg -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header \
	  --no-emit-index-url --no-emit-find-links --constraint requirements.lock --extra oidc --extra otel setup.cfg -o requirements-run.lock

bench: $(STAMP)  ## Measure, beside bare baselines, and print the tables of docs/performance.md
	@$(BIN)/python -m bench $(BENCH_ARGS)

chaos: $(STAMP)  ## Break a running installation FAULTS times (SEED draws them) and check every promise
	@$(BIN)/python -m tests.chaos --faults $(or $(FAULTS),200) $(if $(SEED),--seed $(SEED)) $(CHAOS_ARGS)

simulate: $(STAMP)  ## Carry out N rules of the model (SEED draws them): everything that can go wrong, in virtual time
	@$(BIN)/python -m tests.model --total $(or $(N),10000) $(if $(SEED),--seed $(SEED)) \
	  $(if $(EXAMPLES),--examples $(EXAMPLES)) $(if $(RULES),--rules $(RULES)) $(SIMULATE_ARGS)

fuzz: $(STAMP)  ## Send CASES requests that schemathesis makes of /openapi.json (SEED draws them), and judge the answers
	@FUZZ_CASES=$(or $(CASES),10000) FUZZ_SEED=$(or $(SEED),1) $(BIN)/python -m pytest -n 0 -s --timeout 0 tests/fuzzing

clean:  ## Remove the virtual environment and all local data
	rm -rf $(VENV) .data .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis *.egg-info
