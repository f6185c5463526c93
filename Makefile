# A thin wrapper: `python3.11 bootstrap.py COMMAND` does the same without make.
PYTHON := $(shell command -v python3.11 || command -v python3.12 || command -v python3)

.PHONY: help setup compile test deep demo bench gas-check sizes abi-check lint format clean

help:
	@$(PYTHON) bootstrap.py --help

setup compile test deep demo bench gas-check sizes abi-check lint format clean:
	@$(PYTHON) bootstrap.py $@ $(ARGS)
