# The front door. Each target sets up what it needs on a bare Debian 12, as root; the work is in tools/ and tests/lab/.

.PHONY: help install venv demo test lint unit sanity e2e converge molecule molecule-usual faults faults-subset faults-selftest faults-proofs bench build lab-up lab-down clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## make kvmops.mobility.* names resolve to this checkout (.tree, which ansible.cfg names)
	@tools/prepare tree

venv: ## that, and .venv with the pinned tools that the checks run with
	@tools/prepare tree venv

demo: ## see a running guest resized onto another host, then confirmed
	@tools/demo

test: ## what CI runs: lint unit sanity, e2e, converge, molecule-usual, faults-subset faults-proofs, build; at once what no comma parts
	@tools/stages lint+unit+sanity e2e converge molecule-usual faults-subset+faults-proofs build

lint: ## ruff, mypy, shellcheck, yamllint, ansible-lint, antsibull-changelog
	@tools/lint

unit: ## pytest tests/unit (ARGS='-k name' passes options)
	@tools/unit $(ARGS)

sanity: ## ansible-test sanity on a copy outside the checkout
	@tools/sanity $(ARGS)

e2e: ## pytest tests/e2e on the lab's two hosts (ARGS='-k name' passes options)
	@tools/e2e $(ARGS)

converge: ## a part of bench/live.py: a guest that is faster than the link is refused, and gets there by post-copy
	@tools/bench live --cells 20@80 --methods balanced,balanced-post-copy --proof= --hold \
	    --output tests/output/converge.json

molecule: ## the roles' molecule scenarios with testinfra, on hosts of Debian 13 and 12 (ARGS='-s ssh_trust')
	@tools/molecule $(ARGS)

molecule-usual: ## the same without the scenarios for rarer hosts
	@tools/molecule --usual

faults-subset: ## each mechanism of the fault bench once
	@tools/faults --subset

faults: ## the fault bench (SHARD=I/N a part of it, RANDOM=N SEED=S cases by lot, ARGS for tools/faults --help)
	@tools/faults $(if $(SHARD),--shard $(SHARD)) $(if $(RANDOM),--random $(RANDOM)) $(if $(SEED),--seed $(SEED)) $(ARGS)

faults-selftest: ## the bench turns red without the journal's fsync, the source's fence, one undo or a mirror's bounds
	@tools/faults --selftest

faults-proofs: ## fences after a reboot, illegal moves, lost records
	@tools/faults --proofs

bench: ## a measurement of bench/ (BENCH=outage, copy, control, live, stress, eight, known_hosts or records; ARGS=--help)
	@tools/bench $(or $(BENCH),outage) $(ARGS)

build: ## build the tarball, look into it, install it elsewhere and use it from there
	@tools/build-check

lab-up: ## start the lab's two hosts
	@tools/lab up

lab-down: ## stop the lab and leave nothing of it
	@tools/lab down

clean: ## remove .venv, .tree and what the tools left in the checkout
	@tools/clean
