# Everything a user or a contributor runs. `make run` and `make test` work on a fresh checkout with Python >= 3.11.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
WAITING := tests/scenarios tests/simulator tests/deploy tests/upgrade  # they start processes, and mostly wait for them

# what is compiled once is read by all processes that the tests start, in a quarter of the time
test test-unit soak: export PYTHONDONTWRITEBYTECODE =

.PHONY: image-test rules run test test-unit install check bench soak release lock clean

run: install          ## the whole system; without WECOM_CORP_ID and WELCOME_CONFIG it is the demo
	@exec $(BIN)/python -m tests.simulator.run

test: install         ## the suite, against a real server that it starts itself
	@$(BIN)/python -m pytest -m "not soak" -n 3 --dist loadfile --no-loadscope-reorder $(WAITING); first=$$?; \
	$(BIN)/python -m pytest -m "not soak" -n 2 --dist loadfile --no-loadscope-reorder $(WAITING:%=--ignore=%); second=$$?; \
	[ $$first = 0 ] || echo "$(WAITING): pytest ended with $$first, see above"; exit $$((first ? first : second))

test-unit: install    ## the tests that start no server and no process, in seconds
	@$(BIN)/python -m pytest -m unit -n 2 $(WAITING:%=--ignore=%) --ignore=tests/browser tests

install: $(VENV)/installed

$(VENV)/installed: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wecom-welcome needs Python 3.11 or newer: make PYTHON=python3.12 install")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

check: install        ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: install        ## the product beside a reference, stock and tuned, in one run
	@$(BIN)/python -m tests.bench

soak: install         ## the fault scenarios, the long ones too, and what they measure: the reliability table
	@$(BIN)/python -m pytest -v -m "soak or not soak" tests/scenarios

release: install      ## source, wheel, SBOM and licences of the last commit into dist/, reproducibly
	@$(BIN)/python deploy/release/make.py

image-test: install   ## the image built on a base of Debian's, by buildah and debootstrap, as root; its roles run; arm64;
                      ## and a release, made twice: it replaces what is in dist/
	@$(BIN)/python -m pytest -m soak -n 2 --dist loadfile tests/image tests/deploy/test_release.py

lock:                 ## needs uv on PATH; writes the lock files anew
	uv pip compile pyproject.toml --extra build --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate -o requirements.lock
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate -c requirements.lock -o requirements-dev.lock
	uv pip compile pyproject.toml --extra flower --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate -c requirements-dev.lock -o requirements-flower.lock

rules: install        ## the alerts as a PrometheusRule, after a change of deploy/prometheus/rules.yaml
	@$(BIN)/python -m tests.support.manifests

clean:
	rm -rf $(VENV) .venv-reference .pytest_cache .mypy_cache .ruff_cache
