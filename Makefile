# Two commands on a fresh machine: `make demo` shows the product, `make test` proves it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

help: ## What can be done here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: node_modules ## Show the product: a guarded composition, an alert isolated and undone, a drift rolled back
	@npm run --silent demo

test: node_modules system ## Format, lint, types, rooms, unit tests, conformance and cluster tests
	@npm run --silent test:all

bench: node_modules system ## Compare with peers and floors, print ratios
	@npm run --silent bench

control-plane: ## Build the test control plane into the cache (once; about 20 minutes from cold)
	@test/cluster/build/build.sh all

# npm's own record of what is installed is the stamp: a lockfile newer than it means `npm ci`.
node_modules: node_modules/.package-lock.json
node_modules/.package-lock.json: package.json package-lock.json
	@echo "installing npm packages ..."
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

system: ## Debian packages that tests need, where missing and possible
	@test/support/install-system-packages.sh

.PHONY: help demo test bench control-plane node_modules system
