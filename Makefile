# What one does with a checkout. `make` alone lists it.

BIN := .venv/bin
# Real mails and log lines, where somebody has put them beside the checkout; tests that read them skip otherwise.
export SMTPCTL_CORPORA ?= $(abspath $(wildcard ../shared/corpora))

# Draws the order of the tests, which so is the same each time: what fails in CI fails here.
SEED ?= 2026

.PHONY: help setup demo check test torture build clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv; as root, also install what is missing on this machine.
	@.ci/setup

demo: setup ## Boot six hosts and an internet, apply, send mail, show the ledger (root). KEEP=1 leaves them running.
	$(BIN)/smtpctl lab demo

check: setup ## Everything that needs no running server: style, types, layers, dependencies, inventories, Vagrantfile.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry .
	for file in inventory/*.yml; do $(BIN)/smtpctl validate $$file || exit 1; done
	.ci/vagrantfile

test: setup ## All tests; as root with a lab of six hosts. PYTEST=... adds arguments, SEED=... is another order.
	$(BIN)/python -m pytest --numprocesses 2 --dist loadscope --randomly-seed $(SEED) $(PYTEST)

bench-%: setup ## Measure an area (apply, policy, ledger) against its peers: a line a figure; 1 when a bound is missed.
	$(BIN)/python -m tests.bench.$*

torture: setup ## The tests that are never done, for rounds of a seed: TORTURE='--seed 7 --only policy-fleet --rounds 3'.
	$(BIN)/python -m tests.torture $(TORTURE)

build: setup ## Wheel and source distribution, into dist/.
	$(BIN)/python -m build

clean: ## Remove what is made here; not the lab's state (smtpctl lab down --wipe).
	rm -rf .venv .bench dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .vagrant
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
