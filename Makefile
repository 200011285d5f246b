# `make help` lists the targets. Variables: PYTHON (interpreter for the environment), CORES,
# CONFIG (configuration of `run` and `report`), RUN (its folder in results/, by default the
# configuration's key `run`), LOCK (envs/requirements-gpu.lock for CUDA).
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CORES ?= 2
CONFIG ?= config/demo.yaml
RUN ?= $(shell sed -n "s/^run:[ \"']*\([A-Za-z0-9.+_-]*\).*/\1/p" '$(CONFIG)')
# the lock file that .venv/ was made from, if there is one
LOCK ?= $(or $(shell sed -n 2p .venv/setup.stamp 2>/dev/null),envs/requirements.lock)
BIN := .venv/bin
SNAKEMAKE = $(BIN)/snakemake --profile profiles/local --cores $(CORES) --configfile $(CONFIG)
REPORT = results/$(RUN)/report.html
# install what an extra needs on top of the environment
install = uv=$$(command -v uv || echo .uv/bin/uv); VIRTUAL_ENV=$(CURDIR)/.venv "$$uv" pip install \
    --quiet --require-hashes --compile-bytecode --requirements envs/requirements-$(1).lock
# processes that tests are divided among
WORKERS ?= -n 2 --dist loadgroup --no-loadscope-reorder
QUICK = "not slow and not browser and not faults and not slurm"

.PHONY: help setup setup-htcondor profiles demo run report test coverage test-slow test-browser test-faults test-slurm bench lint format docs lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

setup: .venv/setup.stamp  ## make the locked environment in .venv/

# a checkout that was moved, another lock file or interpreter needs another environment
ifneq ($(filter command,$(origin PYTHON))$(shell cat .venv/setup.stamp 2>/dev/null),$(CURDIR) $(LOCK))
.PHONY: .venv/setup.stamp
endif

.venv/setup.stamp: $(LOCK) pyproject.toml $(wildcard plugins/*/pyproject.toml) envs/setup.sh
	@LOCK='$(LOCK)' PYTHON='$(PYTHON)' sh envs/setup.sh

demo: report  ## from events to figures and a measured δC9 (config/demo.yaml)
	@$(BIN)/wilsonvox show --run results/$(RUN)

run: setup  ## run the workflow with CONFIG, without report and table
	$(SNAKEMAKE)

# made again only when a figure, table, file of times or the configuration is newer, or what the
# report is made with
report: setup  ## run what the report tells of, and write results/RUN/report.html
	$(SNAKEMAKE) -- reported
	@if [ ! -e '$(REPORT)' ] || [ -n "$$(find 'results/$(RUN)' '$(CONFIG)' workflow/report \
	    workflow/rules/report.smk workflow/src/wilsonvox/report \
	    -type f ! -name '*.log' ! -name '*.root' ! -name '*.zip' ! -name configuration.yaml \
	    ! -name 'write_*.tsv' ! -name run_crate.tsv -newer '$(REPORT)' -print | head -n 1)" ]; then \
	  $(SNAKEMAKE) --force report_pages && \
	  $(BIN)/snakemake --configfile '$(CONFIG)' --report '$(REPORT:.html=.part.html)' \
	    --report-stylesheet workflow/report/style.css report_pages && \
	  mv '$(REPORT:.html=.part.html)' '$(REPORT)'; \
	fi

test: setup  ## run the tests, but for the slow ones
	$(BIN)/python -m pytest $(WORKERS) -m $(QUICK)

coverage: setup  ## the same, with the lines that they run; takes longer
	$(BIN)/python -m pytest $(WORKERS) -m $(QUICK) --cov

test-slow: setup  ## run the tests that need long statistics or real training
	$(BIN)/python -m pytest $(WORKERS) -m slow

test-browser: setup  ## open a report in a real browser (Debian: chromium)
	$(BIN)/python -m pytest -m browser tests/browser

test-faults: setup  ## run the tests that kill jobs, fill disks and damage files
	$(BIN)/python -m pytest -m faults tests/faults

test-slurm: setup  ## run the workflow on a real Slurm on this machine (Debian, root)
	$(BIN)/python -m pytest -m slurm tests/slurm

bench: setup  ## rates of every stage beside peers (LARGE=1: 50 million events, too)
	@$(BIN)/python tests/bench/bench_stages.py $(if $(LARGE),--large)

lint: setup  ## ruff, mypy, import-linter, snakefmt and snakemake --lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/python tests/lint_snakemake.py

format: setup  ## format the code
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format
	$(BIN)/snakefmt Snakefile workflow

docs: .venv/docs.stamp  ## build the documentation into docs/_build/html; warnings are errors
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env docs docs/_build/html

# a new `make setup` removes what is not in its lock file
.venv/docs.stamp: .venv/setup.stamp envs/requirements-docs.lock
	@$(call install,docs)
	@touch $@

profiles: setup  ## write the resources of the stages into the cluster profiles
	@$(BIN)/python profiles/make_profiles.py

setup-htcondor: setup  ## add what profiles/htcondor needs to .venv/
	@$(call install,htcondor)

lock: setup  ## compile the lock files again from pyproject.toml
	@sh envs/lock.sh

clean:  ## remove caches; results/ and .venv/ stay
	rm -rf .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.* htmlcov build dist docs/_build
	rm -rf docs/reference/api docs/reference/commands docs/reference/generated
	find workflow plugins tests -name __pycache__ -type d -prune -exec rm -rf {} +
