# Everything a checkout can do. `make help` lists it; scripts/setup.sh makes .venv where needed.

PYTHON ?= python3
PORT ?= 8470
SPEED ?= 1
RIG ?= football
SEED ?= 1
PYTEST_ARGS ?=

BIN := .venv/bin
export PYTHON
# Another project's modules must not shadow ours.
unexport PYTHONPATH PYTHONHOME

.PHONY: help setup setup-dev demo test check lab bench lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name words; do \
		printf '  make %-10s %s\n' "$$name" "$$words"; done

setup: ## make .venv with hwctl in it (.venv/bin/hwctl); nothing to do if it is there
	@scripts/setup.sh runtime

setup-dev: ## the same, and the test tools
	@scripts/setup.sh dev

demo: setup ## run a rig on emulated hardware (PORT=8470 SPEED=1 RIG=football SEED=1)
	@echo 'starting $(RIG) on emulated hardware, $(SPEED) times as fast as life; Ctrl-C ends it'
	@$(BIN)/hwctl run --config 'wiring/$(RIG).hwctl.toml' --emulate --port '$(PORT)' \
		--speed '$(SPEED)' --seed '$(SEED)' --state-dir '.state/$(RIG)'

test: setup-dev ## run the whole test suite (PYTEST_ARGS='-k fan')
	@echo 'running the tests; what is skipped is named with its reason at the end'
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: setup-dev ## format, lint, types, layers, generated files, pins
	@scripts/check.sh

lab: setup-dev ## the kernel lab: Debian's kernel in QEMU, as root (PYTEST_ARGS='tests/lab -k spi')
	@lab/run.sh $(BIN)/python $(PYTEST_ARGS)

bench: setup-dev ## measure every figure that the README states
	@$(BIN)/python -m bench

lock: setup-dev ## pin the dependencies of pyproject.toml anew (UPGRADE=1: to the newest)
	@$(BIN)/python scripts/pins.py lock $(if $(UPGRADE),--upgrade)

clean: ## remove .venv, build output and the demo's state
	rm -rf .venv .state build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
