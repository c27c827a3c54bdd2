# Each target makes the environment it needs; `make PYTHON=python3.12 test` takes another interpreter.
PYTHON ?= python3
PYTEST_ARGS ?=

# Where the framework and torch come from, and in which versions.
CONSTRAINTS := constraints/test.txt
INSTALL := -m pip --disable-pip-version-check --quiet install --constraint $(CONSTRAINTS)

.PHONY: help test lint demo clean
help:
	@echo 'make test    run the tests, in .venv-test; PYTEST_ARGS=tests/functional takes a part of them'
	@echo 'make lint    check style and types, in .venv-test'
	@echo 'make demo    draw, convert, train, test and compare on a synthetic pair of domains, in .venv-demo'
	@echo 'make clean   remove the environments and every build and cache folder'

# The file `installed` is the stamp of a finished installation: the next call starts at once.
.venv-test/installed: EXTRAS := onedl,test,lint
.venv-demo/installed: EXTRAS := onedl
.venv-%/installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python $(INSTALL) --editable '.[$(EXTRAS)]'
	touch $@

# One thread per worker: more workers than threads is what makes a small model's tests fast.
test: export OMP_NUM_THREADS = 1
test: .venv-test/installed
	.venv-test/bin/python -m pytest --numprocesses logical --maxprocesses 4 $(PYTEST_ARGS)

lint: .venv-test/installed
	.venv-test/bin/ruff check .
	.venv-test/bin/mypy

demo: .venv-demo/installed
	.venv-demo/bin/python tools/run_demo.py

clean:
	rm -rf .venv-test .venv-demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
