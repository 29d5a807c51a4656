# Two commands do everything on a machine without ROS: `make demo` and `make test`.
PYTHON ?= python3
RUN := .venv/bin
# Processes that share the tests out. All tests over DDS run in one of them; more than two are for machines with more cores.
TEST_PROCESSES ?= 2
# Whose libraries `make test-oldest` takes: humble (Python 3.10), jazzy, kilted (3.12) or lyrical (3.14).
DISTRO ?= humble

.PHONY: help demo test test-oldest lint docs demo-model lock bench clean setup setup-dev setup-docs

help:
	@echo "make demo        render a recording, play it through the node over DDS, evaluate: out/demo/"
	@echo "make test        linters and all tests"
	@echo "make test-oldest tests with the libraries of a distribution (PYTHON=python3.10 DISTRO=humble)"
	@echo "make lint        ruff and mypy alone"
	@echo "make docs        API documentation from the docstrings: out/api/index.html"
	@echo "make bench       benchmarks, about 20 minutes on a machine that does nothing else: out/bench/summary.md"
	@echo "make demo-model  train models/demo again (about 20 minutes on 2 cores)"
	@echo "make lock        pin the requirements again (needs uv)"
	@echo "make clean       remove what the commands above made, the environment included"

setup:
	@$(PYTHON) tools/bootstrap.py

setup-dev:
	@$(PYTHON) tools/bootstrap.py --dev

setup-docs:
	@$(PYTHON) tools/bootstrap.py --dev --docs

demo: setup
	@$(RUN)/mvloc demo run --out out/demo

test: setup-dev
	@if $(RUN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then $(MAKE) --no-print-directory lint; else \
	  $(RUN)/ruff check --quiet . && $(RUN)/ruff format --check --quiet . && \
	  echo "types are not checked with Python 3.10, whose NumPy 2.2 states others than 2.4 and later"; fi
	@OMP_NUM_THREADS=1 $(RUN)/pytest -n $(TEST_PROCESSES)

test-oldest:
	@$(PYTHON) tools/test_oldest.py $(DISTRO)

lint:
	@$(RUN)/ruff check --quiet .
	@$(RUN)/ruff format --check --quiet .
	@$(RUN)/mypy

docs: setup-docs
	@$(RUN)/python tools/api_docs.py

bench: setup-dev
	@$(RUN)/python -m bench --out out/bench

demo-model: setup-dev
	$(RUN)/mvloc demo render --split train --out out/demo-train
	$(RUN)/mvloc train --data out/demo-train --preset robust --seed 0 --out runs/demo
	$(RUN)/mvloc export runs/demo --half-weights --out models/demo
	$(RUN)/mvloc map models/demo --data out/demo-train --keyframe-features 120

lock:
	@cd requirements && for name in runtime build train dev docs; do \
	  uv pip compile --universal --python-version 3.10 --no-emit-index-url --no-header --no-annotate --upgrade \
	    --quiet $$name.in -o $$name.lock || exit 1; done

clean:
	rm -rf .venv .venv-oldest build out
