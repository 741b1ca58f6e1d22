# The daily commands. `make` alone says what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup run test lint format bench bench-growth bench-plot crash wheel compiled test-compiled spec clean

help:
	@echo "make run     set up and start the broker with the embedded defaults"
	@echo "make test    set up and run every test"
	@echo "make lint    ruff and mypy"
	@echo "make bench   measure against the brokers on this machine"
	@echo "make bench-growth  what many subscriptions and connections cost"
	@echo "make bench-plot  draw the newest results"
	@echo "make crash   kill a broker, take its power away; look whether it keeps what it promised"
	@echo "make wheel   the wheel that pip would make of this: compiled where there is a compiler"
	@echo "make compiled  build it with the path of a message compiled, in build/compiled"
	@echo "make test-compiled  build that, and run every test that can be run on it"
	@echo "make spec    which statements of the MQTT standards have a test"
	@echo "make setup   everything that the others need, in $(VENV)"
	@echo "make format  let ruff lay out the code"
	@echo "make clean   remove what setup and the tests made"

setup: $(READY)

$(READY): pyproject.toml scripts/setup scripts/setup-peers package.json
	PYTHON=$(PYTHON) VENV=$(VENV) sh scripts/setup
	sh scripts/setup-peers
	@touch $(READY)

run: $(READY)
	PUID=$$(id -u) $(BIN)/midge broker  # as whoever calls: a checkout may be nobody else's to read

test: $(READY)
	$(BIN)/python -m pytest -q --durations=10

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY)
	PUID=$$(id -u) $(BIN)/python -m bench

bench-growth: $(READY)
	PUID=$$(id -u) $(BIN)/python -m bench growth

bench-plot: $(READY)
	$(BIN)/python -c 'import matplotlib' 2>/dev/null || $(BIN)/python -m pip install -q --group bench
	$(BIN)/python -m bench plot

crash: $(READY)
	PUID=$$(id -u) $(BIN)/python -m tests.faces.crashes 200
	$(BIN)/python -m tests.disk.losses 20

wheel: $(READY)
	rm -rf build/lib*
	$(BIN)/python -m pip wheel --no-build-isolation --no-deps --wheel-dir dist .

compiled: $(READY)
	rm -rf build/compiled build/lib*
	MIDGE_COMPILE=1 $(BIN)/python -m pip install -q --no-build-isolation --no-deps --upgrade \
		--target build/compiled .
	PYTHONPATH=build/compiled $(BIN)/python -P -m midge --version

# pytest's own path comes before PYTHONPATH, which is for the commands that tests start.
test-compiled: compiled
	PYTHONPATH=$(CURDIR)/build/compiled GUARD_KIND=compiled \
		$(BIN)/python -P -m pytest -q -o pythonpath="build/compiled ." --durations=10

spec: $(READY)
	$(BIN)/python -m tests.conformance.report

clean:
	rm -rf $(VENV) node_modules build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf src/*.egg-info
