# install  what a machine needs to run a cloud (apt packages as root, the virtual environment)
# check    style, types, import contracts, architecture: under a minute, no root, no network
# test     everything, from a bare machine: installs what is missing, then check, then every test that it can run
# cloud    the whole cloud with fake drivers in one process, in the foreground (PORT, DATA)
# bench    the benchmarks against this cloud and others
# docs     the generated documents and sample configurations
SHELL := /bin/bash
.DEFAULT_GOAL := check
.PHONY: install environment check test cloud bench docs

PYTHON := .venv/bin/python
PORT ?= 8773
DATA ?= .cloud

install:
	@etc/install/bootstrap.sh --apt node --extras node,tools

environment:
	@etc/install/bootstrap.sh --extras tools,dev

check: environment
	@etc/dev/check.sh

test:
	@etc/dev/test.sh $(PYTEST_ARGS)

cloud: environment
	@mkdir -p $(DATA)
	@.venv/bin/eucapy dev --port $(PORT) --data $(DATA) --env-file $(DATA)/env

bench: environment
	@$(PYTHON) -m benchmarks $(BENCH_ARGS)

docs: environment
	@$(PYTHON) docs/generate.py
