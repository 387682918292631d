# `make help` lists what there is. Everything runs with the Node that package-lock.json pins, whatever `node` is on PATH.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ARCH := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x64)
export PATH := $(CURDIR)/node_modules/node-linux-$(ARCH)/bin:$(CURDIR)/node_modules/.bin:$(PATH)
TS := node --conditions=development
INSTALLED := node_modules/.package-lock.json

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(INSTALLED): package-lock.json package.json
	@command -v npm >/dev/null || { echo 'npm is needed (any version from 10 on; it comes with Node.js): install it and run this again.' >&2; exit 1; }
	@echo 'Installing npm packages as locked (about 30 s) …'
	@# Not `npm ci`: it refuses a lockfile that lacks binaries of other platforms, which some registries do not carry.
	@npm install --no-save --loglevel=error
	@touch $@

.PHONY: build
build: $(INSTALLED) ## Bundle operator, runner and CLI into dist/ (2 s)
	@$(TS) build.ts

.PHONY: demo
demo: build ## The main job on this machine: cluster, Vault, sshd, operator, remote runner, one run (20 s; 12 min the first time)
	@$(TS) test/demo/up.ts

.PHONY: demo-down
demo-down: $(INSTALLED) ## End everything that `make demo` started
	@$(TS) test/demo/down.ts

.PHONY: cluster
cluster: $(INSTALLED) ## A real Kubernetes on this machine for development (1 min; 10 the first time)
	@$(TS) test/servers/cluster-up.ts

.PHONY: cluster-down
cluster-down: $(INSTALLED) ## End what `make cluster` started
	@$(TS) test/servers/cluster-down.ts

.PHONY: test
test: build ## All tests: unit, component, integration, end to end, a few faults (25 min; 10 more the first time)
	@$(TS) test/run.ts unit component integration e2e faults

.PHONY: test-unit
test-unit: $(INSTALLED) ## Fast tests (40 s)
	@$(TS) test/run.ts unit

.PHONY: test-component
test-component: $(INSTALLED) ## Single components with their real threads, processes and files (2 min)
	@$(TS) test/run.ts component

.PHONY: test-integration
test-integration: build ## Tests against real servers, one API server for all
	@$(TS) test/run.ts integration

.PHONY: test-e2e
test-e2e: build ## The shipped bundles against real servers
	@$(TS) test/run.ts e2e

.PHONY: faults
faults: build ## The whole fault matrix, recorded in docs/reliability.md (35 min)
	@$(TS) test/faults/main.ts

.PHONY: bench
bench: build ## Measure latency, API server writes and memory into docs/benchmarks.md (16 min; PARTS=idle,cycle for some)
	@$(TS) test/bench/main.ts

.PHONY: generate
generate: $(INSTALLED) ## Write CRDs, policies, chart templates and reference docs from their sources
	@$(TS) crds/generate/index.ts

.PHONY: format
format: $(INSTALLED) ## Format the sources
	@oxfmt .

.PHONY: verify
verify: generate ## Generators, types, lint, format, and a clean tree
	@tsc -b
	@oxlint --type-aware --deny-warnings .
	@oxfmt --check .
	@git diff --exit-code --stat -- . || { echo 'Generated files differ from their sources: commit what `make generate` wrote.' >&2; exit 1; }
	@test -z "$$(git status --porcelain)" || { git status --short; echo 'The tree is not clean: commit or remove these.' >&2; exit 1; }

.PHONY: clean
clean: ## Remove what was built here (not the cache outside the checkout)
	@rm -rf dist .build node_modules
