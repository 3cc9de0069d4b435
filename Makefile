# Every target is a script or two; they can be called directly as well.
# As root, missing Debian packages are installed. As a plain user, the command that root must run is printed.

.DEFAULT_GOAL := help
.PHONY: help demo psql test test-engine test-regress test-isolation test-sql test-statements fuzz soak bench bench-engine bench-engines build install lint fmt clean ready

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "PG_CONFIG=… picks another PostgreSQL, VERBOSE=1 shows what the tools say."
	@echo "Root and plain users alike; only root can install missing Debian packages,"
	@echo "everybody else is told the command that root must run."

demo: ready ## set up, build and run the demo
	@scripts/with-cluster.sh demo/run.sh

psql: ready ## the same, then psql in the demo's database
	@scripts/with-cluster.sh demo/run.sh --psql

test: ## set up, build and run every test
	@scripts/test.sh

test-engine: ## tests of the engine, without a server (NAME=filter)
	@scripts/test.sh engine

test-regress: ## SQL files and their expected output (NAME='file …')
	@scripts/test.sh regress

test-isolation: ## sessions step by step, and their expected output (NAME='file …')
	@scripts/test.sh isolation

test-sql: ## integration tests through connections (NAME=filter)
	@scripts/test.sh sql

test-statements: ## what is applied, once more with tables accessed by statements alone
	@scripts/test.sh statements

soak: ## the long forms of the tests, for hours; scripts/soak.sh PART… runs some of them
	@scripts/soak.sh

fuzz: ## look for inputs that break the engine (TIME=60 seconds each, TARGET=…)
	@scripts/fuzz.sh

bench: ready ## measure (QUICK=1 for a short run, BENCH_ARGS='…')
	@scripts/bench.sh $(if $(QUICK),--quick) $(BENCH_ARGS)

bench-engine: ## measure the engine alone, without a server (BENCH_ARGS='…')
	@scripts/setup.sh
	@scripts/bench-engine.sh $(if $(QUICK),--quick) $(BENCH_ARGS)

bench-engines: ## compare engines for JSONata (BENCH_ARGS='…')
	@scripts/setup.sh
	@scripts/bench-engines.sh $(BENCH_ARGS)

build: ## build what is installed, into target/package
	@scripts/setup.sh
	@scripts/build.sh

install: ## install into the PostgreSQL of PG_CONFIG (DESTDIR=…)
	@scripts/install.sh

lint: ## check formatting, run clippy
	@scripts/setup.sh
	@scripts/lint.sh

fmt: ## format the Rust sources
	@scripts/lint.sh --fix

clean: ## remove everything built, and the private server
	@scripts/clean.sh

# Set up, built, and installed into the private copy of the server.
ready:
	@scripts/setup.sh
	@scripts/build.sh
	@scripts/private-server.sh
