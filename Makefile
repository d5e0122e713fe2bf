PY := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup run test lint generate generate-check lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  \033[36m%-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready ## make .venv with every package of the workspace

.venv/ready: requirements.lock pyproject.toml $(wildcard libs/*/pyproject.toml services/*/pyproject.toml) gateway/pyproject.toml
	@scripts/setup
	@touch $@

lock: ## resolve the dependencies anew into requirements.lock
	@scripts/lock --upgrade
