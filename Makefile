# Each target makes the environment it needs; `make PYTHON=python3.12 test` takes another interpreter.
PYTHON ?= python3
PYTEST_ARGS ?=
# A folder with mmcv 2.1.0 compiled for the torch of constraints/test.txt, which nobody publishes; README says how.
WHEELS ?= ../shared/wheels

.PHONY: help test test-lowest test-openmmlab test-mmpretrain lint style types docs demo bench clean
help:
	@echo 'make test            run the tests, in .venv-test; PYTEST_ARGS=tests/functional takes a part of them'
	@echo 'make test-lowest     the same with the lowest supported versions, in .venv-lowest'
	@echo 'make test-openmmlab  train, test and resume with the last releases of OpenMMLab, in .venv-openmmlab;'
	@echo '                     skipped unless WHEELS names a folder with mmcv compiled for this Python'
	@echo 'make test-mmpretrain foundation backbones of MMPreTrain and timm, in .venv-mmpretrain (6 GB: torchvision brings CUDA)'
	@echo 'make lint            check style and types, in .venv-test'
	@echo 'make docs            write docs/reference from the docstrings, in .venv-test'
	@echo 'make demo            draw, convert, train, test and compare on a drawn pair of domains, in .venv-demo'
	@echo 'make bench           measure costs beside references in one table, in .venv-test'
	@echo 'make clean           remove the environments and every build and cache folder'

.venv-test/installed: EXTRAS := onedl,test,lint
.venv-lowest/installed: EXTRAS := onedl,test
.venv-demo/installed: EXTRAS := onedl
.venv-openmmlab/installed: EXTRAS := openmmlab,test
.venv-mmpretrain/installed: EXTRAS := onedl,mmpretrain,test
.venv-lowest/installed: CONSTRAINTS := constraints/lowest.txt
.venv-openmmlab/installed: PIP_OPTIONS := --only-binary mmcv --find-links $(WHEELS)
.venv-mmpretrain/installed: CONSTRAINTS := constraints/mmpretrain.txt
.venv-mmpretrain/installed: PACKAGES := timm  # some backbones of MMPreTrain are timm's
CONSTRAINTS := constraints/test.txt

# `installed` is the stamp of a finished installation: the next call starts at once.
.venv-%/installed: pyproject.toml setup.py $(wildcard constraints/*.txt)
	@echo 'Installing into .venv-$*, which takes some minutes'
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip --disable-pip-version-check --quiet install \
	    $(PIP_OPTIONS) --constraint $(CONSTRAINTS) --editable '.[$(EXTRAS)]' $(PACKAGES)
	touch $@

# A process per core with one thread each: what small tensors profit from. A file's tests stay in one process.
test: .venv-test/installed
test-lowest: .venv-lowest/installed
test test-lowest:
	OMP_NUM_THREADS=1 $(<D)/bin/python -m pytest \
	    --numprocesses logical --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

# What runs is what the two stacks do differently: launching, loading checkpoints, resuming, and every model's parts.
OPENMMLAB_TESTS := tests/test_end_to_end.py tests/test_configs.py tests/engine/test_exact_resume.py \
    tests/files/test_safe_checkpoint.py
PYTHON_TAG = $(shell $(PYTHON) -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
ifneq ($(wildcard $(WHEELS)/mmcv-2.1.*-$(PYTHON_TAG)-*.whl),)
test-openmmlab: .venv-openmmlab/installed
	OMP_NUM_THREADS=1 $(<D)/bin/python -m pytest \
	    --numprocesses logical --maxprocesses 4 --dist loadfile $(or $(PYTEST_ARGS),$(OPENMMLAB_TESTS))
else
test-openmmlab:
	@echo 'test-openmmlab skipped: no mmcv 2.1 for $(PYTHON_TAG) in $(WHEELS); WHEELS=FOLDER names another folder'
endif

MMPRETRAIN_TESTS := tests/models/test_foundation_backbones.py tests/test_configs.py tests/test_custom_networks.py
test-mmpretrain: .venv-mmpretrain/installed
	OMP_NUM_THREADS=1 $(<D)/bin/python -m pytest \
	    $(or $(PYTEST_ARGS),$(MMPRETRAIN_TESTS) -k 'foundation or dinov2 or networks')

lint: style types
style: .venv-test/installed
	$(<D)/bin/ruff check .
	$(<D)/bin/ruff format --check .
types: .venv-test/installed
	$(<D)/bin/mypy

docs: .venv-test/installed
	$(<D)/bin/python tools/write_reference.py

demo: .venv-demo/installed
	$(<D)/bin/python tools/run_demo.py

bench: .venv-test/installed
	OMP_NUM_THREADS=1 $(<D)/bin/python benchmarks/speed.py

clean:
	rm -rf .venv-test .venv-lowest .venv-openmmlab .venv-mmpretrain .venv-demo build dist *.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
