# make setup   .venv from the locked requirements      make demo    see it work, nothing to prepare
# make test    every test                              make check   lint, types, import rules, docs
# make bench   the measurements that docs cite         make lock    resolve the requirements anew

PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: setup demo test check bench lock format openapi clean

setup: $(STAMP)

$(STAMP): requirements/dev.txt pyproject.toml
	@sh requirements/venv.sh $(PYTHON)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: setup
	@$(BIN)/zns-gateway demo

test: setup
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --ignore tests/system/alone
	@$(BIN)/python -m pytest tests/system/alone

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/zns-gateway check

format: setup
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

bench: setup
	@$(BIN)/python -m bench

openapi: setup
	@$(BIN)/zns-gateway openapi --output openapi/gateway.yaml

lock:
	@uv pip compile --quiet pyproject.toml --generate-hashes --universal --python-version 3.11 --no-emit-index-url \
		--no-header --no-annotate --output-file requirements/run.txt
	@uv pip compile --quiet pyproject.toml --extra dev --generate-hashes --universal --python-version 3.11 \
		--no-emit-index-url --no-header --no-annotate --output-file requirements/dev.txt

clean:
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
