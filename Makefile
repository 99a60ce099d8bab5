# Needs python3 (3.11 or newer), make and the package registries; it brings everything else along.
#
#   make up                                   start everything, on http://127.0.0.1:8000/
#   make up PORT=8123 DATA=/some/dir API=2 WORKERS=2
#   make test                                 all that must pass before a commit

PYTHON ?= python3
UV_WANTED = uv>=0.9,<1

UV := $(shell command -v uv 2>/dev/null || echo .tools/uv/bin/uv)
BIN = .venv/bin
SYNCED = .venv/.synced
# What the tests of the client and the page install from npm.
NPM = tests/clients/node_modules/.synced
LITELLM = .tools/litellm
LOAD = .build/viewers .build/appender
CODE = src shared worker api deploy tests

# The Python of this machine, never one that uv downloads: the tests are about what is installed here.
export UV_PYTHON_DOWNLOADS = never
export UV_PROJECT_ENVIRONMENT = .venv

BESIDE_EACH_OTHER = --no-print-directory --jobs 2 --output-sync=target BESIDE=1

.DEFAULT_GOAL := help
ifndef BESIDE
.NOTPARALLEL:
endif
.PHONY: help up test test-long check programs unit integration e2e packaging chaos chaos-short others foreign types pictures browser clients bench bench-pictures bench-details fmt clean

help:
	@echo "make up          start everything here: PORT=8000 DATA=./data API=1 WORKERS=1"
	@echo "make test        run the checks and all tests except the long ones; must pass before a commit"
	@echo "make test-long   run make test and the long tests"
	@echo "make check       check format, lint, types and import rules"
	@echo "make programs    install the programs that tests run (proxies, npm, Chromium) with apt-get"
	@echo "make unit        run the pure tests, in seconds (also: make integration, make e2e)"
	@echo "make packaging   build the wheel, install it and run it, beside redis-py 5, 7 and 8 too"
	@echo "make chaos       cause every fault RUNS=5 times from SEED=1 and print what it cost; FAULT=words selects some"
	@echo "make foreign     run against LiteLLM, an OpenAI-compatible server, in an environment of its own"
	@echo "make clients     test our client and other SSE clients in Node, Python and curl"
	@echo "make browser     test the page in a real Chromium"
	@echo "make pictures    take the pictures of the page that README.md and docs/ show"
	@echo "make types       write the client's .d.ts files"
	@echo "make bench       measure what one core carries, beside the alternatives; PARTS='A C' selects some"
	@echo "make bench-details   measure overhead, pick-up, growing JSON, OpenAI's wires, scaling, writing, open answers"
	@echo "make bench-pictures  copy the pictures of the last make bench to docs/pictures"
	@echo "make fmt         format, and repair what can be repaired automatically"
	@echo "make clean       remove environments and caches, not ./data"

# exec and --end-with-parent: signals reach the launcher itself, and no process stays behind when this
# make is killed.
up: $(SYNCED)
	@exec $(BIN)/outlive up --end-with-parent $(if $(PORT),--port '$(PORT)') \
		$(if $(DATA),--data '$(DATA)') $(if $(API),--api '$(API)') $(if $(WORKERS),--workers '$(WORKERS)')

# The checks run while programs are installed. Chaos tests mostly wait, so the tests with foreign programs,
# Chromium among them, run beside them; but not the tests that judge the time this machine takes.
test:
	@$(MAKE) $(BESIDE_EACH_OTHER) check programs
	@$(MAKE) --no-print-directory unit integration e2e packaging
	@$(MAKE) $(BESIDE_EACH_OTHER) chaos-short others
	@$(MAKE) --no-print-directory browser WHICH=alone

others:
	@$(MAKE) --no-print-directory BESIDE= WHICH='not alone' foreign clients browser

test-long: test
	$(BIN)/python -m pytest -m long tests

check: $(SYNCED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict -p outlive -p tests
	$(BIN)/lint-imports

# Debian's packages, installed as root when one is missing. Without root or Debian, the tests that need one
# are skipped and say so. Quick when nothing is missing.
programs:
	@missing=; for program in nginx haproxy caddy curl openssl faketime npm chromium; do \
		PATH="$$PATH:/usr/sbin" command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq --no-install-recommends $$missing >/dev/null; fi
	@command -v promtool .tools/promtool >/dev/null || ! command -v apt-get >/dev/null || $(MAKE) --no-print-directory .tools/promtool

# Only Prometheus' checker of rules, out of Debian's package (19 MB), which would start a server if installed.
.tools/promtool:
	@mkdir -p .tools && echo '*' > .tools/.gitignore
	@cd .tools && apt-get download -qq prometheus 2>/dev/null && dpkg-deb --fsys-tarfile prometheus_*.deb \
		| tar -xO ./usr/bin/promtool > promtool.new && chmod +x promtool.new && mv promtool.new promtool; \
		rm -f prometheus_*.deb promtool.new; test -x promtool || echo "promtool cannot be downloaded, so the alerts are tested without it." >&2

# Three files at a time: these tests mostly wait for processes.
unit integration e2e packaging: $(SYNCED)
	$(BIN)/python -m pytest -m "not long" --numprocesses 3 --dist loadfile tests/$@

# Every fault once. The table is printed at the end, as `make chaos` prints it for many runs.
chaos-short: $(SYNCED) programs
	$(BIN)/python -m pytest -m "not long" tests/chaos

chaos: $(SYNCED) programs
	CHAOS_RUNS='$(or $(RUNS),5)' CHAOS_SEED='$(or $(SEED),1)' \
		$(BIN)/python -m pytest tests/chaos $(if $(FAULT),-k '$(FAULT)')

foreign: $(SYNCED) $(LITELLM)/.synced
	$(BIN)/python -m pytest tests/$@

clients: $(SYNCED) $(NPM)
	$(BIN)/python -m pytest tests/clients

browser: $(SYNCED) $(NPM) programs
	$(BIN)/python -m pytest $(if $(WHICH),-m '$(WHICH)') tests/browser

# All pictures go to dist/, so that you can look at them. README.md shows the reload, docs/page-and-client.md two
# others.
pictures: $(SYNCED) $(NPM)
	@mkdir -p dist/pictures
	PICTURES=dist/pictures $(BIN)/python -m pytest tests/browser -k 'accessible or picture'
	cp dist/pictures/reload.png dist/pictures/desktop-text.png dist/pictures/phone-dark-tools.png docs/pictures/

types: $(NPM)
	tests/clients/node_modules/.bin/tsc -p tests/clients/tsconfig.types.json --outDir api/web/types

# Asserts nothing: what is fast enough depends on the machine, and a reader judges. One core for the server,
# another for its load; run nothing else meanwhile. Pictures go to dist/bench.
bench: $(SYNCED) $(LOAD)
	$(BIN)/python -m tests.bench $(PARTS)

# docs/benchmarks.md shows the pictures in that folder.
bench-pictures:
	cp dist/bench/viewers.png dist/bench/throughput.png docs/pictures/

# The cost of single things, in more detail.
bench-details: $(SYNCED)
	$(BIN)/python -m tests.bench.overhead
	$(BIN)/python -m tests.bench.pickup
	$(BIN)/python -m tests.bench.json_growth
	$(BIN)/python -m tests.bench.wires
	$(BIN)/python -m tests.bench.scale
	$(BIN)/python -m tests.bench.writing
	$(BIN)/python -m tests.bench.growth
	$(BIN)/python -m tests.bench.burst
	$(BIN)/python -m tests.bench.answer_memory

# The load must cost far less than what it measures, so it is written in C.
.build/%: tests/bench/programs/%.c tests/bench/programs/clock.h
	@mkdir -p .build
	$(CC) -std=gnu11 -O2 -Wall -Wextra -o $@ $<

fmt: $(SYNCED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .tools .build tests/clients/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# One environment for all targets: two different ones would undo each other's work every time.
$(SYNCED): pyproject.toml uv.lock | $(UV)
	@$(UV) sync --frozen --quiet --python '$(PYTHON)'
	@touch $@

# 600 MB and ten seconds, once. Separate from ours, because it pins half of our dependencies. After a change
# of litellm.in run: uv pip compile --universal --python-version 3.11 --no-annotate --no-header.
$(LITELLM)/.synced: tests/foreign/litellm.txt | $(UV)
	@$(UV) venv --quiet --clear --python '$(PYTHON)' $(LITELLM)
	@$(UV) pip sync --quiet --python $(LITELLM)/bin/python $<
	@touch $@

# Install scripts of packages do not run: none of these packages needs one.
$(NPM): tests/clients/package.json tests/clients/package-lock.json | programs
	@cd tests/clients && npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# Only when there is no uv on PATH. pip --target is for Pythons without ensurepip.
.tools/uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed, and $(PYTHON) is not; name one with PYTHON=." >&2; exit 1; }
	@mkdir -p .tools && echo '*' > .tools/.gitignore
	@{ $(PYTHON) -m venv .tools/uv && .tools/uv/bin/python -m pip install --quiet '$(UV_WANTED)'; } \
		|| $(PYTHON) -m pip install --quiet --target .tools/uv '$(UV_WANTED)' \
		|| { echo "uv cannot be installed: $(PYTHON) has neither the venv module nor pip; install one of them." >&2; exit 1; }
