# Modelward. `make help` lists the targets; CONTRIBUTING.md says more.
SHELL := /bin/sh
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PYTHONPATH := operator:tests
# Which Kubernetes clusters are made of: `make cluster KUBERNETES=1.34`. Empty: tests/devcluster/versions.py has the default.
export MODELWARD_KUBERNETES := $(or $(KUBERNETES),$(MODELWARD_KUBERNETES))
# The operator is started hundreds of times: compiled once, outside the repository.
CACHE := $(or $(MODELWARD_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/modelward)
export PYTHONPYCACHEPREFIX := $(CACHE)/pycache
# One for each checkout: two mypys that write the same cache would be in each other's way.
export MYPY_CACHE_DIR := $(CACHE)/mypy$(CURDIR)
unexport PYTHONDONTWRITEBYTECODE
UV_VERSION := 0.13.9

.DEFAULT_GOAL := help
.PHONY: help setup check fmt lint types imports unit golden golden-all coverage coverage-cluster test test-integrations kubernetes cluster e2e demo demo-down chart generate verify lock image audit sbom bench-quick bench-latency bench-fleet bench-failover bench-canary bench-analysis bench-analysis-quick bench-pages faults faults-around fuzz fuzz-quick clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.done ## Make .venv with everything that is needed, pinned by hashes

$(VENV)/.done: requirements-dev.lock requirements-uv.lock pyproject.toml
	@sh tests/setup.sh "$(PYTHON)" "$(VENV)"
	@touch $@

# What takes one processor runs beside its like; each says what it has to say at its end.
BESIDE := +@$(MAKE) --no-print-directory -j2 --output-sync=target

check: setup ## The quick loop: lint, format, types, imports, generated files, unit, golden
	$(BESIDE) lint types imports verify
	+@$(MAKE) --no-print-directory unit golden

fmt: setup ## Format the code
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

unit: setup ## Unit tests
	$(BIN)/pytest tests/unit tests/fetch tests/model_server tests/devcluster -q -m "not integrations" -n logical --dist loadfile

golden: setup ## Golden stories: whole rollouts as text
	$(BIN)/pytest tests/golden -q -n logical

golden-all: setup ## The same with the operator killed at every single write, and ten shuffles of events: minutes
	GOLDEN=all $(BIN)/pytest tests/golden -q

coverage: setup ## Branches that unit and golden tests reach, the least covered files first; fails below fail_under
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest tests/unit tests/golden -q -n logical --dist loadfile $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

coverage-cluster: kubernetes ## The same of operators on a real API server, added to what is measured. ARGS="tests/cluster/test_people.py"
	@rm -f .coverage.*
	$(BIN)/coverage run -m pytest -q $(or $(ARGS),tests/cluster)
	@$(BIN)/coverage combine --quiet --append
	@$(BIN)/coverage report --fail-under=0

test: check ## Everything: what CI runs
	$(BESIDE) bench-analysis-quick fuzz-quick kubernetes
	@$(BIN)/python -m lanes

test-integrations: kubernetes ## What is slower by nature, and not in `make test`: the nightly run
	@PAGES=all $(BIN)/pytest tests/unit tests/fetch -q -n logical --dist loadfile --hypothesis-profile=nightly
	@$(BIN)/python -m lanes --integrations $(ARGS)

kubernetes: setup ## Build Kubernetes from source into the cache: minutes the first time, nothing afterwards
	@$(BIN)/python -m devcluster build

cluster: kubernetes ## Tests of the operator against a real API server. KUBERNETES=1.34 for another version
	@$(BIN)/python -m lanes $(ARGS) tests/cluster

e2e: kubernetes ## Tests on a real node with real model servers
	@$(BIN)/python -m lanes $(ARGS) tests/e2e

demo: setup ## Show it: a real Kubernetes, a model, requests, a new version
	@$(BIN)/python -m demo up

demo-down: setup ## Remove all that `make demo` made
	@$(BIN)/python -m demo down

image: setup ## Build the operator's image, and the one that fetches, without a Docker engine
	$(BIN)/python -m devcluster.images operator fetch

audit: setup ## Linters of the supply chain, licences, known vulnerabilities. Exit code 3: not all could be looked up
	@$(BIN)/python -m supply audit $(ARGS)

sbom: setup ## Write the bill of materials (CycloneDX) into dist/. ARGS="--base IMAGE@sha256:..."
	@$(BIN)/python -m supply sbom $(ARGS)

chart: setup ## Pack the Helm chart into dist/
	@$(BIN)/python -m generate.chart_package

generate: setup ## Write the files that are made from code: CRDs, install.yaml, reference pages, state diagrams
	$(BIN)/python -m generate

verify: setup ## Fail if a generated file is stale
	$(BIN)/python -m generate --check

lock: setup ## Pin all dependencies anew, with hashes
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  pyproject.toml -o requirements.lock
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["fetch"], sep="\n")' | \
	  $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  - -c requirements.lock -o requirements-fetch.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  pyproject.toml --extra fetch --group dev -c requirements.lock -c requirements-fetch.lock -o requirements-dev.lock
	printf '%s\n' 'moto[s3]>=5.2.5,<6' boto3 flask flask-cors | $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url - -o tests/fetch/moto.lock
	echo hatchling==1.33.0 | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url - -o requirements-build.lock
	echo uv==$(UV_VERSION) | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url - -o requirements-uv.lock

bench-quick: setup ## 1,000 models at once on fake nodes: times, memory, requests, beside the targets
	@$(BIN)/python -m bench.quick

bench-latency: setup ## From apply to Ready on a real node, beside a bare Deployment of the same pod
	@$(BIN)/python -m bench.latency

bench-fleet: setup ## Many rollouts at once on fake nodes: until the last is promoted, until the last crashing one is back
	@$(BIN)/python -m bench.fleet $(ARGS)

bench-failover: setup ## How soon another operator takes over, and a thousand losses of the lead without a write out of turn
	@$(BIN)/python -m bench.failover

bench-canary: setup ## Canaries on a real node under load: bad ones, good ones, ways back. ARGS="--scenarios errors --runs 5"
	@$(BIN)/python -m bench.canary $(ARGS)

bench-pages: setup ## Canaries judged by pages of nine servers that are wrong or unusual: what came of them. ARGS="--rollouts 20"
	@$(BIN)/python -m bench.pages $(ARGS)

bench-analysis: setup ## The judge beside its rivals in simulation: tables and goals. ARGS="--table errors --rollouts 2000"
	@$(BIN)/python -m bench.analysis $(ARGS)

bench-analysis-quick: setup ## The same in two minutes, with fixed seeds: fails if a goal is missed
	@$(BIN)/python -m bench.analysis --quick

faults: setup ## Kill the operator at every write of twenty workloads, at three points each. ARGS="--sample 20 --seed 1"
	@$(BIN)/python -m faults $(ARGS)

faults-around: setup ## Strike every watch event, every stream and every request in every way. ARGS="--sample 100"
	@for what in events streams requests; do $(BIN)/python -m faults.disturb $$what $(ARGS) || exit 1; done

fuzz: setup ## Throw 100,000 inputs at each reader of what others write. ARGS="--target page --seed 7"
	@$(BIN)/python -m fuzz $(ARGS)

fuzz-quick: setup ## The same with 1,500 inputs each, always the same ones: under a minute
	@$(BIN)/python -m fuzz --inputs 1500

clean: ## Remove the virtual environment and caches inside the repository
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
