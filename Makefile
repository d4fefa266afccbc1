# Everything a person or CI runs. Needs make, bash and Python alone: no Poetry, no container, no torch.
# GNU make 3.81, which is what macOS has, is enough.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# Where to serve. Without them the settings decide, which say 127.0.0.1:8000. HOST counts on make's own command line
# alone, because some shells export a variable of that name.
PORT ?=
SERVE = $(if $(filter command,$(firstword $(origin HOST))),--host $(HOST)) $(if $(PORT),--port $(PORT))
# Passed on to pytest by the test targets, to measure, k6 and bench, and to `poetry lock` by lock.
ARGS ?=
# The interpreter to build the environments with; empty: the first on PATH that is new enough.
PYTHON ?=
export PYTHON

# The version stands in pyproject.toml alone. = and not :=, so that only test-torch reads it.
TORCH = $(shell sed -n 's/^ *"\(torch==[0-9.]*\)",$$/\1/p' pyproject.toml | head -n 1)
# Found, not listed, so that no new script escapes.
SHELL_SCRIPTS = .ci/run $(shell find . -name '*.sh' -not -path './.venv*' -not -path './build/*' -not -path './.git/*' | sort)
# What is there of mypy's targets: a fresh project may not have them all.
TYPED = $(wildcard mlapi tests scripts bench ui)

.PHONY: help serve test test-deploy test-torch test-slow test-hub test-containers check measure load bench bench-engines bench-guard bench-service format lock clean clean-dev venv venv-dev venv-torch

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  Variables: HOST and PORT (serve), ARGS (tests, measure, bench, lock), PYTHON (interpreter, 3.11 or newer)'

serve: venv  ## Serve the API with the model in models/starter, on 127.0.0.1:8000 or HOST=… PORT=…
	@exec .venv/bin/mlapi serve $(SERVE)

test: venv-dev  ## Run the tests of the service, with coverage
	@.venv-dev/bin/python -m pytest --ignore=tests/deploy -n 2 --cov --cov-report=term:skip-covered $(ARGS)

test-deploy: venv-dev  ## Run the tests of manifests, routes, scripts and workflows; most need kubectl, none a cluster
	@.venv-dev/bin/python -m pytest tests/deploy -n 2 -rs $(ARGS)

test-torch: venv-torch  ## Run the tests that need torch (training, export, the torch engine)
	@.venv-torch/bin/python -m pytest -m 'torch and not hub and not slow' -n 2 --dist loadfile --cov --cov-config=.ci/coverage-torch.ini $(ARGS)

test-slow: venv-torch  ## Run what takes minutes: whole benches, parity at full size, images with PyTorch and of a hub's model
	@.venv-torch/bin/python -m pytest -m slow -rs $(ARGS)

test-hub: venv-torch  ## Run the tests that need the real model hub; the first run downloads its default model
	@.venv-torch/bin/python -m pytest -m hub $(ARGS)

test-containers: venv-dev  ## Run the tests that need a container engine: the image, and the pods of the rendered manifests
	@.venv-dev/bin/python -m pytest tests/deploy -m 'container and not torch and not slow' -n 2 --dist loadfile -rs $(ARGS)

check: venv-dev  ## Lint, types, import rules, shell scripts, Dockerfile, lock file, settings table, manifests
	@echo 'ruff check' && .venv-dev/bin/ruff check --quiet .
	@echo 'ruff format' && .venv-dev/bin/ruff format --quiet --check . || { echo 'run make format' >&2; exit 1; }
	@echo 'mypy' && .venv-dev/bin/mypy $(TYPED)
	@echo 'shellcheck' && .venv-dev/bin/shellcheck $(SHELL_SCRIPTS)
	@echo 'hadolint' && .venv-dev/bin/hadolint Dockerfile
	@echo 'requirements' && .venv-dev/bin/python scripts/check_requirements.py
	@echo 'settings table' && .venv-dev/bin/python scripts/settings_table.py --check
	@echo 'manifests' && if command -v kubectl >/dev/null; then .venv-dev/bin/python -m scripts.check_manifests; \
		else echo '  not checked: kubectl is not on PATH'; fi
	@echo 'import rules' && .venv-dev/bin/python -m pytest -q tests/unit/test_import_rules.py

measure: venv  ## Measure this installation: start, memory, latency, throughput
	@.venv/bin/python scripts/measure.py $(ARGS)

load: venv-dev  ## Load a service of its own with k6 and load.js for 20 s, or that of BASE_URL=… (docs/load-test.md)
	@.venv-dev/bin/python -m scripts.load $(ARGS)

bench: venv-torch  ## Compare the service with other servers on the same model, texts and cores (40 minutes)
	@.venv-torch/bin/python -m bench.compare $(ARGS)

bench-engines: venv-torch  ## Compare engines on a full-size model with what is aimed at (docs/performance.md)
	@.venv-torch/bin/python -m bench.engines $(ARGS)

bench-service: venv-torch  ## Measure the service alone on a full-size model: cache, bulk, tails, growth, what limits it
	@.venv-torch/bin/python -m bench.service $(ARGS)

bench-guard: venv-torch  ## Fail if the service became much slower against the plain pipeline (a minute)
	@.venv-torch/bin/python -m bench.guard $(ARGS)

format: venv-dev  ## Format the Python code and mend what ruff can mend
	@.venv-dev/bin/ruff check --fix --quiet . ; .venv-dev/bin/ruff format .

lock:  ## Write poetry.lock and requirements/ from pyproject.toml (ARGS=--regenerate: newest versions)
	@scripts/lock.sh $(ARGS)

clean:  ## Delete environments, caches and reports
	rm -rf .venv .venv-dev .venv-torch .venv-lock build dist *.egg-info \
		.pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* .cov-torch .cov-torch.* htmlcov
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

clean-dev:  ## Remove what ./deploy.sh dev made: namespace, images, layer; Minikube's profile if it made that
	@scripts/clean-dev.sh $(ARGS)

venv:
	@scripts/venv.sh .venv requirements/runtime.txt requirements/build.txt

venv-dev:
	@scripts/venv.sh .venv-dev requirements/dev.txt requirements/build.txt

venv-torch:  ## Make .venv-torch, in which mlapi train works
	@scripts/venv.sh .venv-torch requirements/torch.txt requirements/encoder.txt requirements/build.txt $(TORCH)
