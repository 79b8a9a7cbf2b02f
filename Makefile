# Everything there is to do with this repository; `make help` lists it. Works on a Debian 12 that has Swift 6.3, git and make.
SHELL := /bin/bash
SWIFT ?= swift
CONFIG ?= $(if $(DATABASE_URL),deploy/timescaledb.yaml,collector.yaml)
PYTHON := .venv/bin/python
PROTOS := $(wildcard proto/*.proto)

.DEFAULT_GOAL := help
.PHONY: help deps deps-test toolchain build run test test-genai check torture bench soak proto proto-check fmt clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install the Debian packages that building needs, if missing (sudo when not root)
	@scripts/install-packages build

deps-test: .venv/.ready ## install what tests and benchmarks need as well: PostgreSQL 15, Python packages in .venv

.venv/.ready: Tests/requirements.txt scripts/install-packages
	@scripts/install-packages test
	@echo "python: installing Tests/requirements.txt into .venv"
	@python3 -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check --requirement Tests/requirements.txt
	@touch $@

toolchain:
	@$(SWIFT) --version 2>/dev/null | grep -Eq 'Swift version (6\.([3-9]|[1-9][0-9])|[7-9]|[1-9][0-9])' \
	    || { echo "Swift 6.3 or later is needed; see swift.org/install" >&2; exit 1; }

build: deps toolchain ## release binary, needs no Swift where it runs: .build/release/collector
	$(SWIFT) build --configuration release --product collector --static-swift-stdlib

run: build ## start the collector on 4317 and 4318, into ./data/telemetry.db or DATABASE_URL=postgresql://...
	@exec .build/release/collector run --config $(CONFIG)

test: deps-test toolchain ## all tests: unit, integration, tidy; starts and stops its own PostgreSQL
	@scripts/install-packages test
	@scripts/run-tests

.venv-genai/.ready: Tests/Integration/genai/requirements.txt
	@echo "python: installing instrumentations of LLM calls into .venv-genai"
	@python3 -m venv .venv-genai
	@.venv-genai/bin/pip install --quiet --disable-pip-version-check --requirement Tests/Integration/genai/requirements.txt
	@.venv-genai/bin/pip install --quiet --disable-pip-version-check --no-deps litellm==1.109.1
	@touch $@

test-genai: deps-test toolchain .venv-genai/.ready ## LLM calls of real instrumentations, costs against LiteLLM's price table
	@$(SWIFT) build
	@COLLECTOR_BINARY=$$($(SWIFT) build --show-bin-path)/collector scripts/with-postgres .venv/bin/python -m pytest -q Tests/Integration/genai

check: deps-test proto-check ## the quick checks alone: layout, imports, sizes, generated code, wire format
	@for script in scripts/* .ci/run; do head -1 "$$script" | grep -q bash && { bash -n "$$script" || exit 1; }; done; true
	@$(PYTHON) -m pytest -q Tests/Tidy

torture: deps-test build ## break everything around the collector and count the spans: 500 rounds; ROUNDS=, SEED=, JOBS=
	@COLLECTOR_BINARY=.build/release/collector $(PYTHON) Tests/Torture/torture.py --rounds $(or $(ROUNDS),500) \
	    --jobs $(or $(JOBS),2) $(if $(SEED),--seed $(SEED))

bench: deps-test build ## measure against Rotel and against plain COPY; writes Benchmarks/RESULTS.md
	@Benchmarks/run

soak: deps-test build ## a long load with an outage, 30 minutes; writes Benchmarks/SOAK.md (MINUTES=30 RATE=8000)
	@scripts/with-postgres $(PYTHON) Benchmarks/soak.py --minutes $(or $(MINUTES),30) --rate $(or $(RATE),8000)

proto: deps ## regenerate Sources/COTLP from proto/
	@scripts/generate-proto Sources/COTLP

proto-check: deps
	@scripts/generate-proto --check Sources/COTLP

fmt: toolchain ## format the Swift sources
	$(SWIFT) format format --in-place --parallel --recursive Package.swift Sources Tests

clean: ## remove what was built, installed in .venv and collected in tests (not ./data)
	rm -rf .build .build-bench .venv .venv-bench .pytest_cache Benchmarks/.work
