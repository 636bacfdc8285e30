# Face2Face. Two commands matter to a newcomer: `make demo` and `make test`.
# Every target sets up what it needs in .venv; nothing but Python >= 3.11 and make is assumed.
SHELL := /bin/bash
# What Python compiles stays in .venv: without it each process compiles torch anew, 1.3 s.
unexport PYTHONDONTWRITEBYTECODE
# Python 3.11 reads its folders as ASCII there, and ends where one has other letters in its name.
ifneq ($(filter C POSIX,$(LC_ALL)),)
export LC_ALL := C.UTF-8
endif
PYTHON ?= python3
# 3.11 is the least, and pocketsphinx has no wheel for 3.14 yet, and a newcomer no compiler: beside
# those that work, uv finds or fetches one that does, also where .venv is of another one.
WORKS := (3, 11) <= sys.version_info < (3, 14)
WHEELED := 'import sys; print(sys.executable if $(WORKS) else ">=3.11,<3.14")'
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
# TORCH=cpu takes a CPU-only torch, a small install (docs/operations.md, "A small install"). What
# was chosen once holds for every later target; naming the other one makes .venv anew.
TORCH ?= $(if $(wildcard $(VENV)/.installed-cpu $(VENV)/.unfinished-cpu),cpu,cuda)
STAMP := $(VENV)/.installed-$(TORCH)
OTHER := $(VENV)/.installed-$(if $(filter cpu,$(TORCH)),cuda,cpu)
# Holds the process that installs. What an interrupted one left is made anew: uv takes a package for
# installed that has its record, and not all of its files.
UNFINISHED := $(VENV)/.unfinished-$(TORCH)
HALF_MADE = for left in $(VENV)/.unfinished-*; do \
	test -e "$$left" && ! kill -0 "$$(cat "$$left")" 2>/dev/null && exit 0; done; exit 1

.PHONY: help setup lock demo test test-embedded test-servers test-deploy check contracts bench bench-quality \
	bench-gpu bench-labels format clean
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(STAMP) ## make .venv with everything locked, and fetch the face model

.tools/bin/uv:
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'

$(STAMP): requirements.lock pyproject.toml deploy/install-locked.sh | $(if $(filter .tools/bin/uv,$(UV)),.tools/bin/uv)
	@if test -e $(OTHER) || ($(HALF_MADE)); then rm -rf $(VENV); fi
	@$(BIN)/python -c 'import sys; sys.exit(not $(WORKS))' 2>/dev/null || { rm -rf $(VENV) && \
		$(UV) venv --quiet --python "$$($(PYTHON) -c $(WHEELED))" $(VENV); }
	@echo $$PPID >$(UNFINISHED)
	bash deploy/install-locked.sh $(UV) $(BIN)/python $(TORCH) all
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@rm $(UNFINISHED)
	$(BIN)/face2face weights pull faces
	@touch $@

lock: | $(if $(filter .tools/bin/uv,$(UV)),.tools/bin/uv) ## pin requirements.lock anew
	$(UV) pip compile pyproject.toml --all-extras --generate-hashes --universal --python-version 3.11 \
		--quiet --no-header -P torch==2.13.0 -o requirements.lock

demo: setup ## the main job end to end on the embedded broker and store
	$(BIN)/face2face demo

test-servers: setup ## build or fetch the real Kafka and S3 servers that the tests use
	$(BIN)/python -m tests.support.servers

test: setup ## the whole test suite of one machine, in three processes
	$(BIN)/python -m tests.support.servers --if-possible
	$(BIN)/python -m tests.support.parts

test-embedded: setup ## the service's tests as on a machine that has nothing but Python
	F2F_TEST_STRICT=0 F2F_TEST_SERVERS=embedded $(BIN)/pytest tests/consumer tests/integration

test-deploy: setup ## what lies in deploy/: builds helm, kubeconform and promtool first (minutes)
	$(BIN)/python -m tests.support.servers --checkers
	$(BIN)/pytest tests/deploy

chaos: setup ## 200 kills, outages, full disks on real Kafka and S3; prints a seed and a table
	$(BIN)/python -m tests.support.servers --if-possible
	F2F_CHAOS=full $(BIN)/pytest tests/chaos

chaos-long: setup ## the same with 1,000 kills over 2,000 jobs; takes hours
	$(BIN)/python -m tests.support.servers --if-possible
	F2F_CHAOS=long $(BIN)/pytest tests/chaos

check: setup ## ruff, mypy --strict, import-linter, contracts up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m schemas.export --check
	$(BIN)/python -m consumer.doc_tables --check

contracts: setup ## write deploy/schemas, deploy/asyncapi.yaml and the tables of docs/ anew
	$(BIN)/python -m schemas.export
	$(BIN)/python -m consumer.doc_tables

bench: setup ## benchmarks; prints ratios measured in one run
	$(BIN)/python -m tests.bench

bench-quality: setup ## render the pairs of F2F_MEDIA, evaluate them, write the table of BENCHMARKS.md
	$(BIN)/python -m tests.bench quality --write $(BENCH_QUALITY)

bench-gpu: setup ## everything about a GPU's speed in one run of some minutes; toy networks without
	$(BIN)/python -m tests.bench gpu --write $(or $(OUT),out)/bench-gpu.txt

bench-labels: setup ## detect on 50 files of ours, half encoded anew, and on 50 of others
	nice $(BIN)/python -m tests.bench labels

format: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what the targets made
	rm -rf $(VENV) .tools out build dist
