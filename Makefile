# make demo: the whole workflow on the embedded phantom cohort -> results/demo/report/index.html
# make test: linters and the fast tests;  make test-slow: the tests that take minutes
# make test-cluster: the same results through a one-node SLURM (installed where it can be) and stand-ins for others
# make bench: our speed beside others' and the machine's limits;  make bench-gpu: full size on a GPU
SHELL := /bin/bash
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
BIN := .venv/bin

.PHONY: demo test lint test-slow test-cluster bench bench-gpu clean

.venv/demo.stamp: envs/requirements.txt envs/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "voxplain needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --requirement envs/requirements.txt
	@# pip compiles with one core; some packages ship files that are not meant to compile
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib >/dev/null || true
	@touch $@

.venv/test.stamp: .venv/demo.stamp envs/requirements-test.txt envs/requirements-s3.txt
	$(BIN)/python -m pip install --quiet --requirement envs/requirements-test.txt
	@touch $@

demo: .venv/demo.stamp
	$(BIN)/snakemake --cores $(CORES)
	@echo "The report is at results/demo/report/index.html"

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/Snakefile workflow/rules
	$(BIN)/snakemake --lint

test: lint
	$(BIN)/pytest

test-slow: .venv/test.stamp
	$(BIN)/pytest -m slow

.venv/cluster.stamp: .venv/test.stamp envs/requirements-cluster.txt
	$(BIN)/python -m pip install --quiet --no-deps --requirement envs/requirements-cluster.txt
	@touch $@

test-cluster: .venv/cluster.stamp
	$(BIN)/pytest -m "slow or not slow" tests/cluster

bench: .venv/test.stamp
	$(BIN)/python tests/benchmarks/bench.py
	$(BIN)/python tests/benchmarks/demo.py --cores $(CORES) --output results/benchmarks_demo.json

bench-gpu: .venv/test.stamp
	$(BIN)/python tests/benchmarks/bench.py --device cuda --output results/benchmarks_gpu_peers.json
	$(BIN)/python tests/benchmarks/gpu.py --device cuda --output results/benchmarks_gpu.json

clean:
	rm -rf .venv .snakemake
