# Each target makes the environment it needs; `make PYTHON=python3.12 test` takes another interpreter.
PYTHON ?= python3
PYTEST_ARGS ?=

.PHONY: help test test-lowest lint style types demo clean
help:
	@echo 'make test         run the tests, in .venv-test; PYTEST_ARGS=tests/functional takes a part of them'
	@echo 'make test-lowest  the same with the lowest supported versions, in .venv-lowest'
	@echo 'make lint         check style and types, in .venv-test'
	@echo 'make demo         draw, convert, train, test and compare on a drawn pair of domains, in .venv-demo'
	@echo 'make clean        remove the environments and every build and cache folder'

.venv-test/installed: EXTRAS := onedl,test,lint
.venv-lowest/installed: EXTRAS := onedl,test
.venv-demo/installed: EXTRAS := onedl
.venv-lowest/installed: CONSTRAINTS := constraints/lowest.txt
CONSTRAINTS := constraints/test.txt

# `installed` is the stamp of a finished installation: the next call starts at once.
.venv-%/installed: pyproject.toml setup.py $(wildcard constraints/*.txt)
	@echo 'Installing into .venv-$*, which takes some minutes'
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip --disable-pip-version-check --quiet install \
	    --constraint $(CONSTRAINTS) --editable '.[$(EXTRAS)]'
	touch $@

# A process per core with one thread each: what small tensors profit from. A file's tests stay in one process.
test: .venv-test/installed
test-lowest: .venv-lowest/installed
test test-lowest:
	OMP_NUM_THREADS=1 $(<D)/bin/python -m pytest \
	    --numprocesses logical --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

lint: style types
style: .venv-test/installed
	$(<D)/bin/ruff check .
types: .venv-test/installed
	$(<D)/bin/mypy

demo: .venv-demo/installed
	$(<D)/bin/python tools/run_demo.py

clean:
	rm -rf .venv-test .venv-lowest .venv-demo build dist *.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
