# Everything a person or a machine does with this repository. `make help` lists it.
# Each target does its own set-up on a clean Debian 12 with Rust, Node and the package registries.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help web run build test checklist lint conformance bench fuzz torture clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: build ## build Reba and start it with the simulated EasyMO fleet
	@target/release/reba demo

build: web ## the release binary, target/release/reba
	@cargo build --release --locked --package reba

web: ## the web app, web/dist, if npm is there; the binary carries it along
	@if command -v npm >/dev/null; then scripts/web.sh; else echo "there is no npm: the binary will be without the web app" >&2; fi

test: ## install what the tests need, run every test
	@scripts/test.sh

checklist: build ## the owner's testing checklist, box by box, against the started program
	@python3 tests/checklist/run.py

lint: ## formatting, clippy, house rules, licences and bans
	@scripts/lint.sh

conformance: ## upstream's test data against Reba, one line a suite
	@scripts/conformance.sh

bench: ## Reba beside its peers on the same data
	@bench/metrics/run.sh

fuzz: ## every fuzz target for a bounded time
	@scripts/fuzz.sh

torture: ## the tests of kills, full disks and hostile clients for an hour rather than seconds
	@scripts/torture.sh

clean: ## remove what was built
	@cargo clean
