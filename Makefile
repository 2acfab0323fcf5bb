# The two commands of a newcomer are `make run` and `make test`; everything happens in .venv.
PYTHON ?= python3
BIN := .venv/bin
ENV ?= .env

.PHONY: run install install-test test test-all lint clean secrets constraints digests sbom pictures chaos

run: install
	$(BIN)/stadspuls up --demo

install: .venv/installed
install-test: .venv/installed-test

# Every package by the hash of its files. `make run LOCKED=` takes the newest that fit instead.
LOCKED ?= --require-hashes --requirement deploy/constraints.txt --requirement deploy/build.txt

.venv/installed: pyproject.toml deploy/constraints.txt deploy/build.txt
	$(PYTHON) -c 'import sys; sys.exit("Python %d.%d found, 3.11 or newer needed" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
ifdef LOCKED
	$(BIN)/python -m pip install --quiet $(LOCKED)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
else
	$(BIN)/python -m pip install --quiet --editable .
endif
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# Five processes, also on two cores: tests wait for servers of their own. WORKERS=1 for a small machine.
WORKERS ?= 5
unexport PYTHONDONTWRITEBYTECODE  # hundreds of processes would compile every module anew
PYTEST := $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadscope

test: install-test
	$(PYTEST) -m 'not slow'

# Everything, with the chaos runs, the benches and the national minute: half an hour with all servers.
test-all: install-test
	STADSPULS_TEST_THOROUGH=1 $(PYTEST)

# A distributed hub whose parts are killed while readings are counted; ends non-zero when one is lost. Needs some minutes.
# As root on Debian it installs Mosquitto, Java, Maven and TimescaleDB. CHAOS="--seconds 60 --seed 7"
chaos: install
	.ci/chaos $(CHAOS)

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports importlinter.toml

# The pictures of docs/first-five-minutes.md, taken anew of a hub that runs for it; needs chromium and chromium-l10n.
pictures: install-test
	$(BIN)/python -m tests.support.pictures

clean:
	rm -rf .venv build dist

# What docker-compose.yml asks for: adds to .env what is missing, and never changes what is there.
secrets:
	deploy/secrets.sh $(ENV)

# What is installed, with the hash of every file: the versions that the tests ran with, for every system and Python.
UV := build/tools/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
constraints: install-test
	mkdir -p build && $(BIN)/python -m pip freeze --exclude-editable > build/tested.txt
	$(PYTHON) -m venv --clear build/tools && build/tools/bin/pip install --quiet uv==0.13.8
	echo 'hatchling editables' | tr ' ' '\n' > build/build.in
	echo 'cyclonedx-bom pip-licenses' | tr ' ' '\n' > build/sbom.in
	$(UV) --constraint build/tested.txt pyproject.toml --output-file build/constraints.txt
	for file in build sbom; do $(UV) --constraint build/constraints.txt build/$$file.in --output-file build/$$file.txt; done
	for file in constraints build sbom; do \
	    sed -n '/^#/p' deploy/$$file.txt | cat - build/$$file.txt > build/whole.txt && mv build/whole.txt deploy/$$file.txt; \
	done

# The images of others by the digest of what their tags are now, in deploy/Dockerfile and docker-compose.yml.
digests:
	deploy/digests.sh

# What is in .venv: build/sbom.cdx.json and build/NOTICES.txt. The image has its own in share/doc/stadspuls.
sbom: install
	$(PYTHON) -m venv build/sbom && build/sbom/bin/pip install --quiet --require-hashes --requirement deploy/sbom.txt
	deploy/sbom.sh build/sbom/bin $(BIN)/python build
