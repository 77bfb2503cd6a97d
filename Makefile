# Everything a developer types. `make help` lists it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test check e2e bench fuzz soak mutants format lock clean

help: ## list these commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(STAMP) ## install into .venv (leaves .venv/bin/regulars)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12 setup"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Could not create a virtual environment. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

demo: $(STAMP) ## a whole chain end to end, then serve it on http://127.0.0.1:8000
	$(BIN)/regulars demo $(ARGS)

test: $(STAMP) ## the tests, on real PostgreSQL and Redis
	$(BIN)/pytest -n 2 $(ARGS)

check: $(STAMP) ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

e2e: $(STAMP) ## the pages in a real Chromium (Debian's; installed with apt when missing)
	@command -v chromium >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; }
	$(BIN)/pytest -m e2e tests/e2e $(ARGS)

bench: $(STAMP) ## the speed figures of docs/benchmarks.md, as ratios in one run
	$(BIN)/python -m tests.benchmarks $(ARGS)

fuzz: $(STAMP) ## Schemathesis over the whole API; ARGS="--seconds 30" bounds it
	$(BIN)/python -m tests.fuzz $(ARGS)

soak: $(STAMP) ## the ledger's state machine, fifty ways at once and the crashes, for about half an hour
	SOAK_EXAMPLES=3000 $(BIN)/pytest tests/properties/test_ledger.py $(ARGS)
	SOAK_SHUFFLES=300 $(BIN)/pytest tests/concurrency/test_fifty_ways.py $(ARGS)
	SOAK_KILLS=60 $(BIN)/pytest tests/concurrency/test_crashes.py $(ARGS)

mutants: $(STAMP) ## change the money code a little at a time and see that a test notices; hours, or ARGS="--sample 20"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check cosmic-ray==8.7.0
	$(BIN)/python -m tests.mutants $(ARGS)

format: $(STAMP) ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(STAMP) ## resolve requirements.lock anew from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock

clean: ## remove the virtual environment (never data)
	rm -rf $(VENV)
