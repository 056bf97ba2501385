# The front door. Each target sets up what it needs on a bare Debian 12, as root; the work is in tools/ and tests/lab/.
SHELL := /bin/bash
stages := lint unit sanity e2e build

.PHONY: help install venv demo test $(stages) lab-up lab-down clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

install: ## make kvmops.mobility.* names resolve to this checkout (.tree, which ansible.cfg names)
	@tools/prepare tree

venv: ## that, and .venv with the pinned tools that the checks run with
	@tools/prepare tree venv

demo: ## see a running guest resized onto another host, then confirmed
	@tools/demo

test: ## everything below in this order: lint unit sanity e2e build
	@tools/stages $(stages)

lint: ## ruff, mypy, shellcheck, yamllint, ansible-lint, antsibull-changelog
	@tools/lint

unit: ## pytest tests/unit (ARGS='-k name' passes options)
	@tools/unit $(ARGS)

sanity: ## ansible-test sanity on a copy outside the checkout
	@tools/sanity $(ARGS)

e2e: ## pytest tests/e2e on the lab's two hosts (ARGS='-k name' passes options)
	@tools/e2e $(ARGS)

build: ## build the tarball, look into it, install it elsewhere and use it from there
	@tools/build-check

lab-up: ## start the lab's two hosts
	@tools/lab up

lab-down: ## stop the lab and leave nothing of it
	@tools/lab down

clean: ## remove .venv, .tree and what the tools left in the checkout
	@tools/clean
