PY := .venv/bin/python
MEMBERS := $(wildcard libs/*/pyproject.toml services/*/pyproject.toml) gateway/pyproject.toml
.DEFAULT_GOAL := help
.PHONY: help setup run test soak images compose-test chart-test telemetry-test lint format generate lock bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  \033[36m%-10s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready ## make .venv with every package of the workspace

.venv/ready: requirements.lock pyproject.toml $(MEMBERS)
	@scripts/setup
	@touch $@

run: setup ## start the mesh, feed it and show the loop; Ctrl-C stops everything
	@.venv/bin/eil run

test: setup ## every check and every test
	@scripts/test

soak: setup ## the faults of real servers at full length (an hour); EIL_TEST_TOOLS names their scripts
	@EIL_SOAK=1 scripts/test -n 0 tests/fault

images: ## build the images of the services and the door, and say how large they are
	@scripts/images

compose-test: setup ## the small profile in containers runs the loop
	@scripts/compose-test

chart-test: setup ## the Helm chart: schemas, install, upgrade and rollback on a real API server
	@scripts/chart-test

telemetry-test: setup ## after one loop every metric and span is there
	@.venv/bin/python -m pytest -n 0 tests/telemetry

lint: setup ## everything that reads the code without running it
	@scripts/lint

format: setup ## put the code into its form
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format --quiet .

generate: setup ## write libs/api and api_docs anew from protos
	@scripts/generate

lock: setup ## resolve the dependencies anew into requirements.lock
	@scripts/lock --upgrade

bench: setup ## measure the loop against its gates
	@.venv/bin/eil bench loop

clean: ## remove .venv and what was generated beside the code
	@rm -rf .venv .eil .pytest_cache .ruff_cache .import_linter_cache
