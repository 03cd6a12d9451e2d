# The way in. `make help` lists the targets; `make ablation` and `make test` do everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_BENCH := $(VENV)/.ready-bench
STUDY := learning_rate
RESULTS := experiments/results/$(STUDY)
BENCH := experiments/benchmarks/results
SOURCES := $(shell find jax_backprop -name '*.py' -o -name '*.j2')

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup test lint verify mutants train ablation report bench figures clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## Make .venv with the project and everything it needs, at pinned versions

$(READY): pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is $$($(PYTHON) --version); Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "error: $(PYTHON) can't make virtual environments; on Debian: apt install python3-venv"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --editable '.[dev]'
	@touch $@

test: $(READY) ## Run the tests
	$(BIN)/python -m pytest

lint: $(READY) ## Check style (ruff) and types (pyright)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

mutants: $(READY_BENCH) ## Put planted bugs before this and other gradient checkers: the kill matrix
	$(BIN)/python experiments/benchmarks/mutants/run.py --out $(BENCH)

# The peers that are measured against, once: they are large, and no user needs them.
$(READY_BENCH): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --editable '.[dev,bench]'
	@touch $@

verify: $(READY) ## Prove the hand-derived gradient against autodiff, float64, differences and slopes
	$(BIN)/jax-backprop verify

train: $(READY) ## Train one network on digits and save it in experiments/results/model
	$(BIN)/jax-backprop train --dataset digits --hidden 32 --learning-rate 4 --schedule cosine \
	  --batch-size 32 --epochs 50 --out experiments/results/model

ablation: $(RESULTS)/report.html ## Run the learning-rate study, write its report, print the answer
	@cat $(RESULTS)/answer.txt
	@echo "Report: $(RESULTS)/report.html"

report: $(READY) ## Write the study's report again from its results
	$(BIN)/jax-backprop report $(RESULTS)

# Any study file: make experiments/results/NAME/report.html runs experiments/NAME.toml. A finished
# study is found and not run again; an interrupted one continues.
experiments/results/%/report.html: experiments/%.toml $(SOURCES) | $(READY)
	$(BIN)/jax-backprop sweep $< --out $(@D)
	$(BIN)/jax-backprop report $(@D) > /dev/null

bench: $(READY) ## Measure accuracy and speed against peers (a few minutes)
	$(BIN)/python experiments/benchmarks/run.py --out $(BENCH)

figures: $(RESULTS)/report.html ## Copy the README's picture from the study's results
	mkdir -p experiments/figures
	cp $(RESULTS)/loss_by_rate.svg experiments/figures/

clean: ## Remove the environment, caches and results
	rm -rf $(VENV) experiments/results $(BENCH) .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
