# Set-up by one command: `make run` or `make test`, in a fresh clone, with Python 3.11.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# The newest pip that this project was installed with.
PIP := $(BIN)/python -m pip --disable-pip-version-check
ARGS ?=
# Processes that run tests side by side; the tests of one file stay in one of them.
WORKERS ?= 2

.PHONY: run test demo serve lint audit clean

run: $(VENV)/.installed
	$(BIN)/fvrec run $(ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

demo: $(VENV)/.installed
	$(BIN)/fvrec demo $(ARGS)

serve: $(VENV)/.installed
	$(BIN)/fvrec serve $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -q -c pyproject.toml -r fvrec warehouse tasks flows app

audit: $(VENV)/.installed-dev
	BIN=$(BIN) .ci/audit

clean:
	rm -rf .prefect outputs reports data/processed data/sft data/eval data/cache data/warehouse

# Stamps: a second make installs nothing unless the pins have changed.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(PIP) install -q -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(PIP) install -q -e ".[dev]"
	touch $@ $(VENV)/.installed

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
