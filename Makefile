# The verbs that a person types. Each is a line or two of real tools.
NAME ?= demo
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo demo-down test lint unit app-test molecule bench build lock

help:  ## Show the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/complete: requirements/uv.txt requirements/dev.txt
	@echo "setup: making the virtual environment .venv (locked by hash)"
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "setup: Python 3.11 or newer is needed; this is " + sys.version)'
	@python3 -m venv --clear .venv
	@$(BIN)/pip install --quiet --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip sync --quiet --require-hashes requirements/dev.txt
	@touch $@

demo: .venv/complete  ## Deploy a lab host and chat with it (NAME=demo)
	@$(BIN)/python lab/demo.py --name $(NAME)

demo-down: .venv/complete  ## Remove the demo's lab (NAME=demo)
	@$(BIN)/python lab/lab.py down --name $(NAME)
