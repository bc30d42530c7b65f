# Every target makes its own private environment in .venv first; nothing outside the checkout is touched.
# PYTHON=/path/to/python3.x chooses the interpreter, PYTEST_ARGS are handed to pytest, BENCH to the bench; JOBS is how many
# test files run at once (0: one after the other).

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
BENCH  ?= all
# JOBS=2, as in CI, takes about half of the time; with more, tests that share devices and timers may disturb each other.
# A lab with eight hosts beside another one may be late: what fails is run once more alone, and has to pass then.
JOBS   ?= 0
# SECONDS is how long `make fuzz` fires and `make soak` runs; SEED repeats what they did another time.
SECONDS := 600
SEED   ?= $(shell date +%s)
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz soak lint format bench clean

help: ## say what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

demo: $(VENV)/ready ## make a repository, import, serve, restore over every transport, verify (under a minute)
	@$(PY) -m bench demo

test: lint $(VENV)/ready-test ## the linters, then the whole test suite
	@$(PY) -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS) || { test "$(JOBS)" != 0 \
	  && echo "What failed beside others, once more and alone:" \
	  && $(PY) -m pytest --last-failed --last-failed-no-failures none $(PYTEST_ARGS); }

fuzz: $(VENV)/ready-test ## fire noise and mangled messages at every port of a running daemon; SECONDS=600
	@FUZZ_SECONDS=$(SECONDS) FUZZ_SEED=$(SEED) $(PY) -m pytest -s tests/integration/test_ports_under_fire.py

soak: $(VENV)/ready-test ## rooms of chance, with kills, cuts and restarts, one after the other; SECONDS=600
	@SOAK_SECONDS=$(SECONDS) SOAK_SEED=$(SEED) $(PY) -m pytest -s tests/integration/test_rooms_by_chance.py

lint: $(VENV)/ready-test ## ruff, mypy, import-linter, shellcheck
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports --no-logo 2>&1
	@if command -v shellcheck >/dev/null; then shellcheck .ci/*; else echo "shellcheck is not installed: skipped"; fi

format: $(VENV)/ready-test ## put the sources in shape
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

bench: $(VENV)/ready ## measure everything that can be measured here (long); BENCH=restore for one scenario
	@$(PY) -m bench $(BENCH)

clean: ## remove the environment and everything that was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/ready: pyproject.toml .ci/environment
	@.ci/environment $(VENV)
	@touch $@

$(VENV)/ready-test: pyproject.toml .ci/environment
	@.ci/environment $(VENV) test
	@touch $@ $(VENV)/ready
