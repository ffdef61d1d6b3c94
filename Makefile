# Each target makes the machine ready first (scripts/setup), which takes a second once it is.

.DEFAULT_GOAL := help
.PHONY: help demo test develop cargo-test test-integration lint fuzz valgrind chaos soak benchmark docs wheel release test-matrix clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-17s %s\n' "$$name" "$$text"; done

demo: develop ## play a video clip to two other processes and show what arrives
	scripts/demo

test: ## run every check: formatting, linters, types, Rust tests, Python tests
	scripts/setup tests
	scripts/test

develop: ## install what is missing, make .venv with an editable install, compile the plugin
	scripts/setup

cargo-test: develop ## run the Rust tests
	scripts/test rust

test-integration: ## run the Python tests with real second processes and real pipelines
	scripts/setup tests
	scripts/test integration

lint: develop ## check formatting, linters and types
	scripts/test lint

fuzz: develop ## feed whatever reads a frame with damaged input, ten million times (some minutes)
	scripts/fuzz

valgrind: develop ## run the Rust core's tests under valgrind
	scripts/valgrind

chaos: develop ## kill, stop and stall real processes for five minutes; SEED= repeats a run
	.venv/bin/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(ARGS)

soak: develop ## half an hour of real processes; what they take must stay flat; SECONDS= for less
	.venv/bin/python -m tests.soak $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

benchmark: develop ## measure; ARGS= are passed on
	scripts/benchmark $(ARGS)

docs: develop ## build the documents and the API reference into build/site
	scripts/docs

wheel: develop ## build the wheel, with the plugin, into dist/
	scripts/wheel

release: develop ## build wheel, source distribution and crates into dist/, check them, print how to publish
	scripts/release

test-matrix: develop ## run the integration tests of the wheel on other Debians (as root; needs debootstrap)
	scripts/test-matrix

clean: ## remove what the targets made, except .venv
	rm -rf build dist target python/gst_iceoryx2/plugins .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
