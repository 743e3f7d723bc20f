# Two commands matter: `make benchmark` and `make test`; both share `make setup`.
# Needs only Python >= 3.11, make and a package index.
# real test data; optional
MKGAN_TEST_DATA ?= ../shared/data
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# The first interpreter that really starts and is new enough (version shims may exist and fail).
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# compiled modules halve the time to start; keep them even where the environment says otherwise
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup benchmark test e2e soak bench docs lint lock clean faults

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "setup: needs Python >= 3.11; install one or call make PYTHON=/path/to/python3"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	@uv=$$(command -v uv || echo $(BIN)/uv); \
	$$uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
	$$uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $(READY)

benchmark: setup
	$(BIN)/mkgan benchmark --dataset sample

# Two files of tests at a time: most of a test's steps use one core.
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Real servers, workers and browsers on the loopback; wants Debian's chromium and postgresql, and skips what lacks them.
e2e: setup
	$(BIN)/python -m pytest -m e2e -n 2 --dist loadfile tests/e2e

# Repeats, from outside, the attacks that broke commit e116937. About half an hour. CHECKOUT=/path/to/another/checkout
# attacks that one instead, whatever its commit, with the interpreter of this one.
CHECKOUT ?= .
faults: setup
	MKGAN_CHECKOUT=$(abspath $(CHECKOUT)) $(BIN)/python -m pytest -m e2e tests/faults/black_box

# The long form of tests/faults, about an hour: kills, bad inputs, faulty storage, cold imports, determinism. It keeps
# its counts in the file SOAK; another call adds to them. Tables for RELIABILITY.md: tests.faults.soak --markdown FILE
SOAK ?= out/soak.json
MINUTES ?= 60
soak: setup
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) --json $(SOAK)

# Speed and memory, never asserted in tests; prints, and stores JSON. About an hour on 2 cores, mostly ZSSR's preset paper.
BENCH ?= out/bench.json
bench: setup
	$(BIN)/python -m tests.benchmarks.kernelgan_speed --json $(BENCH)
	$(BIN)/python -m tests.benchmarks.growth --json $(BENCH) $(if $(wildcard $(MKGAN_TEST_DATA)/div2krk_dev),--div2krk $(MKGAN_TEST_DATA)/div2krk_dev)
	$(BIN)/python -m tests.benchmarks.zssr_curves --json $(BENCH)
	$(BIN)/python -m tests.benchmarks.gpu --json $(BENCH)
	$(BIN)/python -m tests.benchmarks.overhead --json $(BENCH)
	$(BIN)/python -m tests.benchmarks.throughput --json $(BENCH)

# The site, in out/site; broken links are errors.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-logo && $(BIN)/pyright

# The lock names exact versions and hashes and no index.
lock:
	PATH="$(BIN):$$PATH" uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock

clean:
	rm -rf $(VENV) data/store *.egg-info
