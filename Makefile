# The two commands of a newcomer are `make run` and `make test`; everything happens in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run install install-test test lint clean

run: install
	$(BIN)/stadspuls up --demo

install: .venv/installed
install-test: .venv/installed-test

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python %d.%d found, 3.11 or newer needed" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

test: install-test
	$(BIN)/python -m pytest

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf .venv build dist
