# The two commands of a newcomer are `make run` and `make test`; everything happens in .venv.
PYTHON ?= python3
BIN := .venv/bin
ENV ?= .env

.PHONY: run install install-test test test-all lint clean secrets constraints pictures chaos

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

# Four processes, also on two cores: most tests wait for servers of their own. WORKERS=1 for a small machine.
WORKERS ?= 4
PYTEST := $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadscope

test: install-test
	$(PYTEST) -m 'not slow'

# Everything, with the chaos runs, the benches and the national minute: half an hour with all servers.
test-all: install-test
	$(PYTEST)

# A distributed hub whose parts are killed while readings are counted; ends non-zero when one is lost. Needs some minutes.
# As root on Debian it installs Mosquitto, Java, Maven and TimescaleDB. CHAOS="--seconds 60 --seed 7"
chaos: install
	.ci/chaos $(CHAOS)

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports importlinter.toml

# The pictures of docs/first-five-minutes.md, taken anew of a hub that runs for it; needs chromium.
pictures: install-test
	$(BIN)/python -m tests.support.pictures

clean:
	rm -rf .venv build dist

# What docker-compose.yml asks for: adds to .env what is missing, and never changes what is there.
secrets:
	deploy/secrets.sh $(ENV)

# The versions of the image, from those that the tests ran with.
constraints: install-test
	mkdir -p build && $(BIN)/python -m pip freeze --exclude-editable > build/tested.txt
	$(PYTHON) -m venv --clear build/constraints
	build/constraints/bin/pip install --quiet --constraint build/tested.txt .
	sed -n '/^#/p' deploy/constraints.txt > build/constraints.txt
	build/constraints/bin/pip freeze --exclude stadspuls >> build/constraints.txt
	mv build/constraints.txt deploy/constraints.txt
