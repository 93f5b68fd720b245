# Both kinds of installation share .venv: `make demo` installs what runs need,
# `make test` and the like add torch and the development tools.

PYTHON ?= python3
# More options for pip, e.g. another package index for a CPU build of torch.
PIP_FLAGS ?=
# More options for pytest, e.g. PYTEST_FLAGS="-k push_sum".
PYTEST_FLAGS ?=
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt $(PIP_FLAGS)
RUNTIME := $(VENV)/.stamp-runtime
DEV := $(VENV)/.stamp-dev

export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export MPLBACKEND ?= Agg
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS ?= 1

.PHONY: help
help:
	@echo 'make demo      run the demonstration into out/demo (installs no torch)'
	@echo 'make test      lint, types, import contracts, then the quick tests'
	@echo 'make test-all  the same with the slow tests'
	@echo 'make bench     run the benchmarks'
	@echo 'make lint      ruff, pyright and the import contracts'
	@echo 'make format    write all code as ruff writes it, 120 wide (format-check only looks)'
	@echo 'make architecture  write ARCHITECTURE.md from the imports (tokens prints the sizes of its rooms)'
	@echo 'make docs      write the API documentation to out/docs'
	@echo 'make install   install everything into .venv'
	@echo 'make clean     remove .venv, out and the caches'

$(RUNTIME): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) hatchling editables
	$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

$(DEV): $(RUNTIME)
	$(PIP_INSTALL) --no-build-isolation --editable '.[torch,dev]'
	@touch $@

.PHONY: install
install: $(DEV)

.PHONY: demo
demo: $(RUNTIME)
	$(BIN)/python -m sgpsim demo --out out/demo

.PHONY: ruff types imports lint format format-check
ruff: $(DEV)
	$(BIN)/ruff check .

types: $(DEV)
	$(BIN)/pyright

imports: $(DEV)
	$(BIN)/lint-imports

# `format-check` joins with the commit that formats the whole tree.
lint: ruff types imports

format: $(DEV)
	$(BIN)/ruff format .

format-check: $(DEV)
	$(BIN)/ruff format --check --quiet .

.PHONY: architecture tokens
architecture: $(DEV)
	$(BIN)/python tests/architecture.py --write

tokens: $(DEV)
	@$(BIN)/python tests/architecture.py --tokens

.PHONY: test test-all
test: lint
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_FLAGS)
	@$(BIN)/python tests/architecture.py --tokens

test-all: lint
	$(BIN)/python -m pytest -n $(WORKERS) -m "" $(PYTEST_FLAGS)

.PHONY: bench
bench: $(DEV)
	$(BIN)/python -m studies bench

# The page of sgpsim is that of its public names, which hides its modules from pdoc: they are named one by one.
.PHONY: docs
docs: $(DEV)
	$(BIN)/pdoc --math --output-directory out/docs sgpsim theory studies $$($(BIN)/python -c \
		"import pkgutil, sgpsim; print(*(f'sgpsim.{one.name}' for one in pkgutil.iter_modules(sgpsim.__path__) if one.name[0] != '_'))")

.PHONY: clean
clean:
	rm -rf $(VENV) out build dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
