# The way in. `make help` lists the targets; `make ablation` and `make test` do everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_LINT := $(VENV)/.ready-lint
READY_BENCH := $(VENV)/.ready-bench
READY_MUTATION := $(VENV)/.ready-mutation
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --editable
STUDY := learning_rate
# SHORT=1 takes three splits where a study has ten, in a folder of its own: make reproduce SHORT=1.
SHORT ?=
HELD := experiments/results$(if $(SHORT),/short)
FEWER := $(if $(SHORT),--set 'axes.seed={count=3}' --set 'axes.split_seed={count=3}')
RESULTS := $(HELD)/$(STUDY)
BENCH := experiments/benchmarks/results
# The original files, where there is no network: of one set (FROM), of both in folders of their
# names (ORIGINALS).
FROM ?=
ORIGINALS ?=
STOCK := .venv-tfds
PEER_FINDERS := .venv-finders
SOURCES := $(shell find jax_backprop -name '*.py' -o -name '*.j2')

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup test lint docs verify derive learn mutants audit train ablation boundaries edge flows schedules no-rate \
  transfer horizons batch warmup reproduce findings map torture mutation mnist fashion data-mnist data-fashion_mnist schedules-mnist schedules-fashion report bench \
  gpu test-experiments test-browser test-tfds test-cluster finders test-finders clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## Make .venv with the project and everything it needs, at pinned versions

$(READY): pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is $$($(PYTHON) --version); Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "error: $(PYTHON) can't make virtual environments; on Debian: apt install python3-venv"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(INSTALL) '.[all]'
	@touch $@

test: $(READY) ## Run the tests
	JAX_BACKPROP_TESTS=quick $(BIN)/python -m pytest -m 'not optimized'
	$(BIN)/python -m pytest -m optimized $$(grep -l pytest.mark.optimized tests/test_*.py)

test-experiments: $(READY) ## Run the tests of what lies in experiments/: analyses, benchmarks, examples, tutorials
	JAX_BACKPROP_TESTS=quick $(BIN)/python -m pytest -m 'not optimized' tests/experiments_*.py
	$(BIN)/python -m pytest -m optimized $$(grep -l pytest.mark.optimized tests/experiments_*.py)

lint: $(READY_LINT) ## Check style (ruff) and types (pyright)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

mutants: $(READY_BENCH) ## Put planted bugs before this and other gradient checkers: the kill matrix (an hour)
	$(BIN)/python experiments/benchmarks/families/run.py --out $(BENCH)/families
	$(BIN)/python experiments/benchmarks/mutants/run.py --out $(BENCH)

audit: $(READY) ## Measure the float32 derivatives of jax.nn, jax.scipy.special and optax.losses as installed
	$(BIN)/python experiments/benchmarks/audit.py --page experiments/docs/audit.md --figures experiments/figures

# Extras that no user needs, such as the peers that are measured against, once: they are large.
$(VENV)/.ready-%: $(READY)
	$(INSTALL) '.[all,$*]'
	@touch $@

docs: $(VENV)/.ready-docs ## Build the documents, the reference among them, in experiments/results/docs
	$(BIN)/python experiments/docs/build.py

verify: $(READY) ## Prove the equations, the gradient and the second order: one screen, verdict last
	$(BIN)/jax-backprop verify

derive: $(READY) ## Write the derivation, each equation proven beside its code, as one page
	$(BIN)/jax-backprop derive --out experiments/results/derivation.html

learn: $(READY) ## Write the page on the learning rate, with the runs behind its slider (two minutes)
	$(BIN)/jax-backprop learn experiments/results/learn

train: $(READY) ## Train one network on digits and save it in experiments/results/model
	$(BIN)/jax-backprop train --dataset digits --hidden 32 --learning-rate 4 --schedule cosine \
	  --batch-size 32 --epochs 50 --out experiments/results/model

ablation: $(RESULTS)/report.html ## Run the learning-rate study, write its report, print the answer
	@cat $(RESULTS)/answer.txt
	@echo "Report: $(RESULTS)/report.html"

boundaries: $(HELD)/boundaries/boundaries.json ## Where the loss first rises, is best, and training fails
edge: $(HELD)/edge/edge.json ## Loss and sharpness on one time axis: the edge of stability
flows: $(HELD)/flows/flows.json ## Gradient descent beside gradient flow and the central flow (ten minutes)
schedules: $(HELD)/schedules/report.html ## Schedules and optimizers, each at its own tuned rate
	@cat $(<D)/answer.txt
no-rate: $(HELD)/no_rate/no_rate.json ## What it costs to leave the learning rate out
transfer: $(HELD)/transfer/transfer.json ## Whether the rate of a narrow network holds for wide ones
horizons: $(HELD)/horizons/horizons.json ## Convex theory's bound against networks: which schedule, which rate
batch: $(HELD)/batch/batch.json ## Steps to a loss by batch size: the critical batch, and which rule gives the rate
warmup: $(HELD)/warmup/warmup.json ## What a warm-up tolerates, beyond what a quadratic would

# Everything that experiments/README.md says, resumable; what is there already isn't run again.
# The studies take two hours on two cores, by their own clocks; with SHORT=1 a third of that.
reproduce: ablation boundaries edge flows schedules no-rate transfer horizons batch warmup map findings ## Run every study but MNIST's, and write what they found

findings: $(READY) ## Write experiments/README.md and its figures from the results that are there
	$(BIN)/python experiments/analyses/findings.py $(if $(SHORT),--out $(HELD)/README.md --results $(HELD))

mnist: $(HELD)/mnist/report.html ## The learning-rate study on MNIST; without a network: make mnist FROM=FOLDER
fashion: $(HELD)/fashion_mnist/report.html ## The same on Fashion-MNIST
schedules-mnist: $(HELD)/schedules_mnist/report.html ## Whether a schedule is worth it on MNIST, each at its own tuned rate
schedules-fashion: $(HELD)/schedules_fashion/report.html ## The same on Fashion-MNIST
mnist fashion schedules-mnist schedules-fashion:
	@cat $(<D)/answer.txt
	@echo "Report: $<"

$(HELD)/mnist/report.html $(HELD)/schedules_mnist/report.html: | data-mnist
$(HELD)/fashion_mnist/report.html $(HELD)/schedules_fashion/report.html: | data-fashion_mnist
data-mnist data-fashion_mnist: data-%: $(READY)
	$(BIN)/jax-backprop data prepare $* $(if $(FROM),--from $(FROM))

# A window of the map: make map HIDDEN=10:100 OUTPUT=0.1:1 SIZE=512 MAP=zoom
MAP ?= trainability_map
HIDDEN ?= 0.1:1000
OUTPUT ?= 0.01:10
SIZE ?= 1024
window = {low=$(word 1,$(subst :, ,$1)),high=$(word 2,$(subst :, ,$1)),count=$(SIZE)}

map: $(READY) ## A million networks as one picture: hidden-layer rate x output-layer rate
	$(BIN)/jax-backprop sweep experiments/trainability_map.toml --out $(HELD)/$(MAP) --set-aside \
	  --set 'axes."layer_factors.0"=$(call window,$(HIDDEN))' --set 'axes."layer_factors.1"=$(call window,$(OUTPUT))'
	$(BIN)/jax-backprop report $(HELD)/$(MAP)

torture: $(READY) ## Try to lose results: 200 kills, every byte flipped, 20 racers (half an hour)
	$(BIN)/python experiments/torture.py

# A scheduler and four workers as processes on the loopback; workers and drivers killed at random.
test-cluster: $(VENV)/.ready-cluster ## Lose workers and drivers of a cluster: the same SHA-256 each time
	$(BIN)/python experiments/cluster.py

# A sample of the package's mutants: make mutation ROOMS="heart training" COUNT=50; AGAIN=1 judges
# the survivors of an earlier run once more.
SEED ?= 0
COUNT ?= 300
ROOMS ?=
JOBS ?= 2

mutation: $(READY_MUTATION) ## Change the package in 300 small ways: which tests turn red (two hours)
	$(BIN)/python experiments/mutation/run.py --seed $(SEED) --count $(COUNT) --rooms $(ROOMS) \
	  --jobs $(JOBS) $(if $(AGAIN),--again)

# Every failure is kept in experiments/results/fuzz, with its files and its command.
SEED ?= 0
BUDGET ?= 600
RUNS ?= 20000

fuzz: $(READY) ## Try to end a command badly: make fuzz SEED=0 BUDGET=600 RUNS=20000 (seconds, runs)
	$(BIN)/python experiments/fuzz/run.py --seed $(SEED) --budget $(BUDGET) --runs $(RUNS)

report: $(READY) ## Write the study's report again from its results
	$(BIN)/jax-backprop report $(RESULTS)

$(HELD)/boundaries/boundaries.json: experiments/boundaries.toml $(SOURCES) | $(READY)
	$(BIN)/jax-backprop boundaries $< --out $(@D) --set-aside
$(HELD)/edge/edge.json: experiments/edge.toml $(SOURCES) | $(READY)
	$(BIN)/jax-backprop sweep $< --out $(@D) --set-aside
	$(BIN)/jax-backprop report $(@D)
	$(BIN)/python experiments/analyses/edge.py $(@D)
$(HELD)/flows/flows.json: experiments/flows.toml $(SOURCES) | $(READY)
	$(BIN)/jax-backprop sweep $< --out $(@D) --set-aside $(if $(SHORT),--set epochs=500)
	$(BIN)/jax-backprop report $(@D)
	$(BIN)/python experiments/analyses/beside_flows.py $(@D)
$(HELD)/transfer/transfer.json: experiments/transfer.toml $(SOURCES) | $(READY)
	$(BIN)/jax-backprop sweep $< --out $(@D) --set-aside $(FEWER)
	$(BIN)/jax-backprop report $(@D)
	$(BIN)/python experiments/analyses/transfer.py $(@D)
$(HELD)/horizons/horizons.json: experiments/horizons.toml $(SOURCES) | $(READY)
	$(BIN)/jax-backprop sweep $< --out $(@D) --set-aside $(FEWER)
	$(BIN)/jax-backprop report $(@D)
	$(BIN)/python experiments/analyses/convex.py $(@D)
$(HELD)/batch/batch.json: experiments/batch.toml $(SOURCES) | $(READY)
	$(BIN)/jax-backprop sweep $< --out $(@D) --set-aside $(FEWER)
	$(BIN)/jax-backprop report $(@D)
	$(BIN)/python experiments/analyses/batch.py $(@D)
$(HELD)/warmup/warmup.json: experiments/warmup.toml $(SOURCES) | $(READY)
	$(BIN)/jax-backprop boundaries $< --out $(@D) --set-aside $(FEWER)
	$(BIN)/jax-backprop report $(@D)
	$(BIN)/python experiments/analyses/warmup.py $(@D)
$(HELD)/no_rate/no_rate.json: experiments/no_rate.toml $(SOURCES) | $(READY)
	$(BIN)/jax-backprop sweep $< --out $(@D) --set-aside $(if $(SHORT),--set 'axes.seed={count=3}')
	$(BIN)/jax-backprop report $(@D)
	$(BIN)/python experiments/analyses/no_rate_figures.py $(@D)

# The ablation's answer tells the boundaries of its network, too: a search beside it.
$(RESULTS)/report.html: experiments/$(STUDY).toml $(SOURCES) | $(READY)
	$(BIN)/jax-backprop sweep $< --out $(@D) --set-aside
	$(BIN)/jax-backprop boundaries $< --out $(@D)/boundaries --set-aside --set curves=none \
	  --set sharpness_iterations=20 --set 'axes.schedule=["constant"]' \
	  --set 'axes.learning_rate={low=0.1,high=100,points_per_decade=3}' > /dev/null
	$(BIN)/jax-backprop report $(@D) > /dev/null

# Any study file: make experiments/results/NAME/report.html runs experiments/NAME.toml. A finished
# study is found and not run again; an interrupted one continues.
# Results of another study, or of an older engine, are set aside (NAME.old-1), never overwritten.
$(HELD)/schedules/report.html: FEW := $(FEWER)
$(HELD)/%/report.html: experiments/%.toml $(SOURCES) | $(READY)
	$(BIN)/jax-backprop sweep $< --out $(@D) --set-aside $(FEW)
	$(BIN)/jax-backprop report $(@D) > /dev/null

bench: $(READY_BENCH) ## Measure accuracy and speed against peers (about seven minutes)
	$(BIN)/python experiments/benchmarks/run.py --out $(BENCH)

# On a machine with a GPU: GPU_PYTHON is a Python that has JAX for CUDA (.venv has JAX for the CPU).
# SMALL=1 tries it on a CPU; MNIST is a folder with the four original files, for the study on them.
GPU_PYTHON ?=
SMALL ?=
MNIST ?=

gpu: $(if $(GPU_PYTHON),,$(READY)) ## Measure one GPU, under eight minutes: make gpu GPU_PYTHON=python3
	PYTHONPATH="$(CURDIR):$$PYTHONPATH" $(or $(GPU_PYTHON),$(BIN)/python) experiments/benchmarks/gpu.py \
	  --out $(if $(SMALL),$(BENCH)/gpu-small.json,experiments/benchmarks/results-gpu.json) \
	  $(if $(SMALL),--small) $(if $(MNIST),--mnist $(MNIST))

# Tasks on images need the original files: make finders ORIGINALS=FOLDER (with mnist/, fashion_mnist/).
FINDERS := experiments/results/finders

finders: $(READY) ## What each rule for the learning rate loses, against dense sweeps (half an hour; an hour with ORIGINALS)
	$(BIN)/python experiments/finders/run.py --out $(FINDERS) \
	  --publish jax_backprop/finding/experience.json $(if $(ORIGINALS),--originals $(ORIGINALS))

# fastai, Lightning and torch-lr-finder, with PyTorch, in an environment of their own.
test-finders: $(PEER_FINDERS)/.ready ## Compare the seven rules with the packages that they are of (2 GB)
	$(PEER_FINDERS)/bin/python -m pytest --noconftest -o addopts= -o filterwarnings= \
	  tests/real_finders.py

$(PEER_FINDERS)/.ready: pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv --clear $(PEER_FINDERS)
	$(PEER_FINDERS)/bin/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --editable '.[finders]'
	@touch $@

test-browser: $(VENV)/.ready-browser ## Open the pages in Chromium (from Debian's packages), offline: numbers, keys, pointer, downloads
	$(BIN)/python -m pytest -o addopts= -p no:xdist tests/browser_*.py

# TensorFlow, which the project doesn't need, in an environment of its own.
test-tfds: $(STOCK)/.ready ## Compare MNIST and Fashion-MNIST with the stock TensorFlow builders (1.3 GB)
	JAX_BACKPROP_ORIGINALS=$(ORIGINALS) $(STOCK)/bin/python -m pytest --noconftest \
	  -o addopts= -o filterwarnings= tests/stock_tfds.py

$(STOCK)/.ready: pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv --clear $(STOCK)
	$(STOCK)/bin/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --editable '.[stock]'
	@touch $@

clean: ## Remove the environment, caches and results
	rm -rf $(VENV) $(STOCK) $(PEER_FINDERS) experiments/results $(BENCH) .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
