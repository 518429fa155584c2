# The verbs that a person types. Each is a line or two of real tools.
NAME ?= demo
BIN := .venv/bin
PROOFS := certificate config_set nftables_ruleset app_release
PYTHON_SOURCES := plugins tests/unit tests/preflight roles/model/files roles/backups/templates

.DEFAULT_GOAL := help
.PHONY: help demo demo-down test lint sanity unit preflight app-test proofs artefact molecule bench judge lock changelog

help:  ## Show the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# Environments, locked by hash.
.venv/complete: requirements/uv.txt requirements/dev.txt
	@echo "setup: making the virtual environment .venv"
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "setup: Python 3.11 or newer is needed, not " + sys.version)'
	@python3 -m venv --clear .venv
	@$(BIN)/pip install --quiet --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip sync --quiet --require-hashes requirements/dev.txt
	@touch $@

.venv-app/complete: .venv/complete app/locks/dev.txt
	@echo "setup: making the virtual environment .venv-app"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-app
	@VIRTUAL_ENV=.venv-app $(BIN)/uv pip sync --quiet --require-hashes app/locks/dev.txt
	@VIRTUAL_ENV=.venv-app $(BIN)/uv pip install --quiet --no-deps --editable app
	@touch $@

demo: .venv/complete  ## Deploy a lab host and chat with it (NAME=demo)
	@$(BIN)/python lab/demo.py --name $(NAME)

demo-down: .venv/complete  ## Remove the demo's lab (NAME=demo)
	@$(BIN)/python lab/lab.py down --name $(NAME)

test: .venv/complete .venv-app/complete  ## Pass the tests: everything below but bench
	@$(BIN)/python tests/run.py

lint: .venv/complete .venv-app/complete  ## ruff, mypy, yamllint, ansible-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PYTHON_SOURCES)
	cd lab && ../$(BIN)/mypy --config-file ../pyproject.toml .
	cd app && ../.venv-app/bin/mypy
	$(BIN)/yamllint --strict .
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/ansible-lint

sanity: .venv/complete  ## ansible-test sanity
	tests/sanity/run

unit: .venv/complete  ## Unit tests of the plugins, and the table of bad inventories
	$(BIN)/pytest -q -n 2 tests/unit tests/preflight

app-test: .venv-app/complete  ## The application's tests against real PostgreSQL and Redis
	$(BIN)/python lab/browser.py
	$(BIN)/python lab/services.py .venv-app/bin/pytest -q -c app/pyproject.toml app/tests

proofs: .venv/complete  ## What only a real host shows of the modules: rollback, lock-out guard, renewal, hand-over
	$(BIN)/python lab/lab.py up --name proofs --hosts a
	$(BIN)/ansible-playbook -i .lab/proofs/inventory $(PROOFS:%=tests/lab/%.yml)
	$(BIN)/python lab/lab.py down --name proofs

artefact: .venv/complete  ## Build the collection, install it elsewhere, check what it carries
	$(BIN)/pytest -q tests/artefact

molecule: .venv/complete  ## The scenario `single`: check, converge, idempotence, verify
	PATH=$(CURDIR)/$(BIN):$$PATH MOLECULE_GLOB='molecule/*/molecule.yml' $(BIN)/molecule test -s single

bench: .venv/complete  ## Measure a deployment against its floor
	@$(BIN)/python lab/bench.py

judge: .venv/complete  ## Let outside tools judge a hardened lab host
	@$(BIN)/python lab/judge.py --deploy

lock: .venv/complete  ## Renew the locks of the control node
	$(BIN)/uv pip compile --quiet --no-header --universal --python-version 3.11 --generate-hashes --upgrade requirements/uv.in -o requirements/uv.txt
	$(BIN)/uv pip compile --quiet --no-header --universal --python-version 3.11 --generate-hashes --upgrade requirements/dev.in -o requirements/dev.txt

changelog: .venv/complete  ## Write CHANGELOG.md from changelogs/fragments for the version in galaxy.yml
	cd .ansible/collections/ansible_collections/aigo/onprem && PATH=$(CURDIR)/$(BIN):$$PATH antsibull-changelog release
