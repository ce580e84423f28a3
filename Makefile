# make demo: the whole workflow on the embedded phantom cohort -> results/demo/report/index.html
# make test: linters and the fast tests;  make test-slow: the tests that take minutes
SHELL := /bin/bash
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
BIN := .venv/bin

.PHONY: demo test lint test-slow clean

.venv/demo.stamp: envs/requirements.txt envs/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "voxplain needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement envs/requirements.txt
	@touch $@

.venv/test.stamp: .venv/demo.stamp envs/requirements-test.txt
	$(BIN)/python -m pip install --quiet --requirement envs/requirements-test.txt
	@touch $@

demo: .venv/demo.stamp
	$(BIN)/snakemake --cores $(CORES)
	@echo "The report is at results/demo/report/index.html"

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint

test: lint
	$(BIN)/pytest

test-slow: .venv/test.stamp
	$(BIN)/pytest -m slow

clean:
	rm -rf .venv .snakemake
