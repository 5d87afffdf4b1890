# Two commands do everything: `make up` runs ChitLaq, `make test` proves it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

ifdef UV
install = $(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes --requirement $(1)
else
install = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $(1)
endif

DOCS ?= docs
UPGRADE ?= --upgrade

.PHONY: help install up down check test test-long coverage docs vendor web-check bench bench-backups lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1	\2/p' $(MAKEFILE_LIST) | expand -t 16

install: $(VENV)/.run  ## what `make up` does first, and no more

up: $(VENV)/.run  ## start the whole system here and show it
	@$(BIN)/chitlaq up

down: $(VENV)/.run  ## stop what `chitlaq up --detach` started
	@$(BIN)/chitlaq down

# Real servers on a busy machine: what failed beside others gets one more try alone, and is named.
test: check  ## prove it, on stacks of its own
	@$(BIN)/pytest || { [ $$? = 1 ] && echo "Once more, alone:" && $(BIN)/pytest --last-failed -n 0; }

test-long: check  ## the same, and the exhaustive forms: every step of a restore, millions of rows
	@$(BIN)/pytest -m ""

coverage: $(VENV)/.dev  ## list the lines that no test reaches, in every process
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

docs: $(VENV)/.run  ## regenerate the generated pages
	@$(BIN)/python -c 'from chitlaq.monitoring.alerts import registry; print(end=registry.alerts_page())' >$(DOCS)/alerts.md
	@$(BIN)/chitlaq metrics >$(DOCS)/metrics.md
	@$(BIN)/chitlaq ops runbook >$(DOCS)/runbook.md

vendor: $(VENV)/.run  ## fetch what browsers get of others' (Preact, uPlot, icons, axe), with npm
	@$(BIN)/python -m chitlaq.web.vendor .

check: $(VENV)/.dev  ## format, lint, types, import walls
	@$(BIN)/ruff format --check --quiet src tests
	@$(BIN)/ruff check --quiet src tests
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >$(VENV)/walls.log 2>&1 || { cat $(VENV)/walls.log; exit 1; }
	@$(BIN)/python -m chitlaq.web.check . $(VENV)/web-check

web-check: $(VENV)/.dev  ## check what browsers get: types (with npm), imports, sizes, words
	@$(BIN)/python -m chitlaq.web.check . $(VENV)/web-check
	@$(BIN)/pytest -q -n 0 tests/web

bench: $(VENV)/.dev  ## measure: a table of ratios, in about a minute
	@$(BIN)/chitlaq bench
	@$(BIN)/chitlaq bench --chat
	@$(BIN)/chitlaq bench --accounts
	@$(BIN)/chitlaq bench --feed
	@$(BIN)/chitlaq bench --web

bench-backups: $(VENV)/.dev  ## measure backups of a million posts; takes a quarter of an hour
	@$(BIN)/chitlaq bench --backups

lock: $(VENV)/.dev  ## update the locked dependencies; with UPGRADE= only add what is missing (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--override overrides.in \
		$(UPGRADE) pyproject.toml build.in --output-file requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--override overrides.in \
		$(UPGRADE) --extra dev --constraint requirements.lock pyproject.toml build.in --output-file requirements-dev.lock

clean:  ## remove what was installed here; no data is touched
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ChitLaq needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Name another: make PYTHON=python3.12 up"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: on Debian and Ubuntu, install python3-venv."; exit 1; }

$(VENV)/.run: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing the locked dependencies (once) ..."
	@$(call install,requirements.lock)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "Installing what the tests need (once) ..."
	@$(call install,requirements-dev.lock)
	@touch $@
