# Every target creates the environment it needs; nothing is installed outside .venv.
# torch imports ONNX Runtime, which would else tell its maker what runs here; see runtime/backends/packages.py.
export ORT_DISABLE_TELEMETRY = 1
CONFIG ?= configs/streets.yaml
SET ?=
VENV ?= .venv
PYTHON ?= python3
PY := $(VENV)/bin/python
# ONNX Runtime comes in two builds that own the same import name.
ENGINE := $(if $(shell nvidia-smi -L 2>/dev/null),gpu,cpu)
READY := $(VENV)/ready-$(ENGINE)
# Warnings are errors: a type that cannot be resolved, a module that cannot be imported. tqdm is generic for checkers alone.
PDOC := $(PY) -W error -W "ignore:Error parsing type annotation tqdm" -m pdoc --docformat google --no-show-source
# Shared libraries that are no modules of Python are left out.
DOCUMENTED := runtime training export benchmarks '!.*[.]_compiled'
# Programs that look at the project from outside; see pyproject.toml.
TOOLS := build/tools
SBOM := $(TOOLS)/bin/cyclonedx-py environment --pyproject pyproject.toml --spec-version 1.6 --output-reproducible

.DEFAULT_GOAL := help
.PHONY: help setup adapt export serve bench peers tune scenarios ladder choose loop test check report check-data preview methods readme docs sbom clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
	@echo "CONFIG=$(CONFIG) chooses the run; SET='--set training.seed=1' overrides keys"

setup: $(READY) ## create the environment in .venv

$(READY): pyproject.toml constraints.txt setup.py runtime/tail/tail.c runtime/ring/ring.c runtime/ring/iapc_ring.h
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet --constraint constraints.txt --editable ".[export,$(ENGINE),openvino,peers,video,live,smp,dev]"
	$(PY) -m pip install --quiet --no-deps --requirement requirements-tensorrt-rtx.txt
	@touch $@

$(TOOLS)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --upgrade pip
	$(TOOLS)/bin/python -m pip install --quiet --constraint constraints.txt --group release
	@touch $@

adapt: $(READY) ## train the source network where none is given, adapt it to the target, report
	$(PY) -m training train-source $(CONFIG) $(SET)
	$(PY) -m training adapt $(CONFIG) $(SET)

export: $(READY) ## freeze the adapted network into a verified bundle
	$(PY) -m export bundle $(CONFIG) $(SET)

serve: $(READY) ## play the target's frames to the bundle like a camera; watch it at http://127.0.0.1:8090
	$(PY) -m training write-frames $(CONFIG) $(SET)
	$(PY) -m runtime serve $(CONFIG) $(SET)

bench: $(READY) ## latency of the bundle against PyTorch eager, in the same run
	$(PY) -m benchmarks latency $(CONFIG) $(SET)

peers: $(READY) ## the bundle against what people use instead, and the floor of this machine
	$(PY) -m benchmarks peers $(CONFIG) $(SET)

tune: $(READY) ## the artefact, engine and options that serve the bundle soonest here, and the lines for the run file
	$(PY) -m benchmarks tune $(CONFIG) $(SET)

scenarios: $(READY) ## the bundle as it is used: stream, batch, cameras, second load, start, pause; some ten minutes
	$(PY) -m benchmarks scenarios $(CONFIG) $(SET)

ladder: $(READY) ## every artefact of the bundle in every engine here: agreement, mIoU, latency
	$(PY) -m benchmarks ladder $(CONFIG) $(SET)

choose: $(READY) ## the front of all that `ladder` measured; BUDGET_MS=50 says what to take within 50 ms
	$(PY) -m benchmarks choose $(CONFIG) $(if $(BUDGET_MS),--budget-ms $(BUDGET_MS)) $(SET)

loop: $(READY) ## what the runtime's loop adds to its engine in time and memory, and how long until it is ready
	$(PY) -m benchmarks loop $(CONFIG) $(SET)

report: $(READY) ## one HTML file on the run: before and after, classes, labels, gates, latency, front
	$(PY) -m benchmarks report $(CONFIG) $(SET)

methods: $(READY) ## every method side by side over three seeds, on the source networks that are there
	$(PY) -m benchmarks methods $(CONFIG) $(SET)

readme: $(READY) ## write the pages' tables; METHODS=, PEERS= and ADAPTATION= take the documents of new figures
	$(PY) -m benchmarks readme $(if $(METHODS),--methods $(METHODS)) $(if $(PEERS),--peers $(PEERS)) $(if $(ADAPTATION),--adaptation $(ADAPTATION))

check-data: $(READY) ## read all data of the run: sizes, classes, everything that is wrong with it
	$(PY) -m training check-data $(CONFIG) $(SET)

preview: $(READY) ## the same of a few frames, for their picture
	$(PY) -m training check-data $(CONFIG) $(SET) --limit 8

test: $(READY) ## run the tests
	$(PY) -m pytest

check: $(READY) $(TOOLS)/ready ## formatting, lint, types, import directions, Dockerfiles
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy runtime training export benchmarks tests
	$(VENV)/bin/lint-imports
	$(TOOLS)/bin/hadolint docker/*.Dockerfile

docs: $(READY) ## the reference of every module, from its docstrings, into build/docs
	rm -rf build/docs
	$(PDOC) --output-directory build/docs $(DOCUMENTED)

sbom: $(READY) $(TOOLS)/ready ## bills of materials (CycloneDX) of the runtime and the training environment into build/sbom
	rm -rf build/sbom
	$(PYTHON) -m venv --without-pip build/sbom/runtime
	$(TOOLS)/bin/python -m pip --python build/sbom/runtime/bin/python install --quiet --constraint constraints.txt ".[cpu]"
	$(SBOM) --output-file build/sbom/runtime.json build/sbom/runtime/bin/python
	$(SBOM) --output-file build/sbom/training.json $(PY)

clean: ## delete the environment and everything runs wrote
	rm -rf $(VENV) runs build runtime/*/*.so *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
