# `make run` opens the app, `make test` runs every check; both set up what they need.

# The first supported Python on the path; name another with `make PYTHON=…`.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$python && break; done)
BIN := .venv/bin

.PHONY: help run test lint screenshots docs bench pins setup setup-dev clean

help:
	@echo "make run          set up if needed, then open the app"
	@echo "make test         set up if needed, then run every check"
	@echo "make setup        only set up (.venv)"
	@echo "make screenshots  photograph every page, for the README"
	@echo "make docs         render the docstrings of ser_core, in build/docs"
	@echo "make bench        measure speed beside what one would use instead"
	@echo "make clean        remove .venv and caches"

run: setup
	$(BIN)/streamlit run server.py

test: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --ignore tests/browser --numprocesses 3 --dist worksteal
	$(BIN)/python -m pytest tests/browser --numprocesses 3 --dist worksteal

lint: setup-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

screenshots: setup-dev
	$(BIN)/python -m tests.browser.screenshots

docs: setup-dev
	$(BIN)/python -m pdoc --docformat google --output-directory build/docs ser_core '!ser_core.__main__'

bench: setup-dev
	$(BIN)/python -m benchmarks

setup: .venv/installed
setup-dev: .venv/installed-dev

.venv/installed: requirements.txt constraints.txt | .venv/bin/python
	@echo "Setting up .venv; this takes a few minutes, once."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.venv/bin/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	|| { echo "Undertone needs Python 3.11, 3.12 or 3.13; install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

# Pins what is installed now, so that tomorrow's set-up is today's.
pins: setup-dev
	$(BIN)/python -m pip freeze > constraints.txt

clean:
	rm -rf .venv .cache .pytest_cache .ruff_cache .hypothesis
