# Works with python3 (3.11 or newer), make and the package registries; all else is brought along.
#
#   make up                                   everything, on http://127.0.0.1:8000/
#   make up PORT=8123 DATA=/some/dir API=2 WORKERS=2
#   make test                                 all that must pass

PYTHON ?= python3
UV_WANTED = uv>=0.9,<1

UV := $(shell command -v uv 2>/dev/null || echo .tools/uv/bin/uv)
BIN = .venv/bin
SYNCED = .venv/.synced
# What the tests of the client and the page bring from npm.
NPM = tests/clients/node_modules/.synced
LITELLM = .tools/litellm
LOAD = .build/viewers .build/appender
CODE = src shared worker api deploy tests

# This machine's Python, never one that uv fetches: what is tested is what is here.
export UV_PYTHON_DOWNLOADS = never
export UV_PROJECT_ENVIRONMENT = .venv

BESIDE_EACH_OTHER = --no-print-directory --jobs 2 --output-sync=target BESIDE=1

.DEFAULT_GOAL := help
ifndef BESIDE
.NOTPARALLEL:
endif
.PHONY: help up test test-long check programs unit integration e2e chaos chaos-short others foreign types pictures browser clients bench bench-pictures bench-details fmt clean

help:
	@echo "make up          start everything here: PORT=8000 DATA=./data API=1 WORKERS=1"
	@echo "make test        check and all tests but the long ones: what must pass before a commit"
	@echo "make test-long   make test, and the tests that take their time"
	@echo "make check       format, lint, types and import rules"
	@echo "make programs    what tests run and is not ours, by apt-get: proxies, npm, Chromium"
	@echo "make unit        pure tests, seconds     (also: make integration, make e2e)"
	@echo "make chaos       every fault RUNS=5 times from SEED=1, and the table of what it cost; FAULT=words for some"
	@echo "make foreign     against an OpenAI-compatible server of somebody else's, in an environment of its own"
	@echo "make clients     our client and others', in Node, Python and curl; from npm and elsewhere"
	@echo "make browser     the page in a real Chromium"
	@echo "make pictures    the pictures of the page that README.md and docs/ show; make types: the client's .d.ts"
	@echo "make bench       what one core carries, beside what people would use instead; PARTS='A C' for some of it"
	@echo "make bench-details  overhead, pick-up, growing JSON, OpenAI's wires, a worker that keeps up; make bench-pictures: those of docs/benchmarks.md from the last make bench"
	@echo "make fmt         format, and mend what can be mended by itself"
	@echo "make clean       remove environments and caches, not ./data"

# exec and --end-with-parent: signals reach the launcher itself, and nothing stays behind when
# this make is killed.
up: $(SYNCED)
	@exec $(BIN)/outlive up --end-with-parent $(if $(PORT),--port '$(PORT)') \
		$(if $(DATA),--data '$(DATA)') $(if $(API),--api '$(API)') $(if $(WORKERS),--workers '$(WORKERS)')

# Types are judged while programs are fetched. Faults are mostly waited for, so what others' programs
# say of us, Chromium among them, is tried beside them; but not where the machine's time is what is judged.
test:
	@$(MAKE) $(BESIDE_EACH_OTHER) check programs
	@$(MAKE) --no-print-directory unit integration e2e
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

# Debian's own, as root, when one is missing; who is not root, or has no Debian, is told by the
# tests that are skipped. Quick when all is there.
programs:
	@missing=; for program in nginx haproxy caddy curl openssl faketime npm chromium; do \
		PATH="$$PATH:/usr/sbin" command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq --no-install-recommends $$missing >/dev/null; fi
	@command -v promtool .tools/promtool >/dev/null || ! command -v apt-get >/dev/null || $(MAKE) --no-print-directory .tools/promtool

# Prometheus' judge of rules alone, out of Debian's package (19 MB): installed, it would start a server.
.tools/promtool:
	@mkdir -p .tools && echo '*' > .tools/.gitignore
	@cd .tools && apt-get download -qq prometheus 2>/dev/null && dpkg-deb --fsys-tarfile prometheus_*.deb \
		| tar -xO ./usr/bin/promtool > promtool.new && chmod +x promtool.new && mv promtool.new promtool; \
		rm -f prometheus_*.deb promtool.new; test -x promtool || echo "promtool is not to be had; alerts are judged without it." >&2

# Three files at a time: real processes are waited for more than they work.
unit integration e2e: $(SYNCED)
	$(BIN)/python -m pytest -m "not long" --numprocesses 3 --dist loadfile tests/$@

# Every fault once. Its table is printed at the end, as `make chaos` prints it of many runs.
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

# All of them into dist/, for looking at. README.md shows the reload, docs/page-and-client.md the other two.
pictures: $(SYNCED) $(NPM)
	@mkdir -p dist/pictures
	PICTURES=dist/pictures $(BIN)/python -m pytest tests/browser -k 'accessible or picture'
	cp dist/pictures/reload.png dist/pictures/desktop-text.png dist/pictures/phone-dark-tools.png docs/pictures/

types: $(NPM)
	tests/clients/node_modules/.bin/tsc -p tests/clients/tsconfig.types.json --outDir api/web/types

# Nothing is asserted: what is fast enough depends on the machine, and a reader judges. One core for the
# server, another for its load; best with nothing else running. Pictures go to dist/bench.
bench: $(SYNCED) $(LOAD)
	$(BIN)/python -m tests.bench $(PARTS)

# docs/benchmarks.md shows what is there.
bench-pictures:
	cp dist/bench/viewers.png dist/bench/throughput.png docs/pictures/

# What single things cost, in more detail.
bench-details: $(SYNCED)
	$(BIN)/python -m tests.bench.overhead
	$(BIN)/python -m tests.bench.pickup
	$(BIN)/python -m tests.bench.json_growth
	$(BIN)/python -m tests.bench.wires
	$(BIN)/python -m tests.bench.scale
	$(BIN)/python -m tests.bench.writing

# The load must cost far less than what it measures, so it is C.
.build/%: tests/bench/programs/%.c tests/bench/programs/clock.h
	@mkdir -p .build
	$(CC) -std=gnu11 -O2 -Wall -Wextra -o $@ $<

fmt: $(SYNCED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .tools .build tests/clients/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# One environment for all targets: two that differ would undo each other's work each time.
$(SYNCED): pyproject.toml uv.lock | $(UV)
	@$(UV) sync --frozen --quiet --python '$(PYTHON)'
	@touch $@

# 600 MB and ten seconds, once. Apart from ours, because it pins half of what we use. After a change
# of litellm.in: uv pip compile --universal --python-version 3.11 --no-annotate --no-header.
$(LITELLM)/.synced: tests/foreign/litellm.txt | $(UV)
	@$(UV) venv --quiet --clear --python '$(PYTHON)' $(LITELLM)
	@$(UV) pip sync --quiet --python $(LITELLM)/bin/python $<
	@touch $@

# No scripts of packages run: none of these needs one.
$(NPM): tests/clients/package.json tests/clients/package-lock.json | programs
	@cd tests/clients && npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# Only when there is no uv on PATH. pip --target is for Pythons that come without ensurepip.
.tools/uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one with PYTHON=." >&2; exit 1; }
	@mkdir -p .tools && echo '*' > .tools/.gitignore
	@{ $(PYTHON) -m venv .tools/uv && .tools/uv/bin/python -m pip install --quiet '$(UV_WANTED)'; } \
		|| $(PYTHON) -m pip install --quiet --target .tools/uv '$(UV_WANTED)' \
		|| { echo "uv cannot be installed: $(PYTHON) needs its venv module or pip." >&2; exit 1; }
