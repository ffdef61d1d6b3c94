# Each target first prepares the machine (scripts/setup), which takes a second if nothing is missing.

.DEFAULT_GOAL := help
.PHONY: help demo test develop cargo-test test-integration lint fuzz valgrind chaos soak benchmark docs wheel release test-matrix test-camera test-lerobot test-ros2 clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-17s %s\n' "$$name" "$$text"; done

demo: develop ## play a video clip to two other processes and show what arrives
	scripts/demo

test: ## run every check: formatting, linters, types, Rust tests, Python tests
	scripts/setup tests
	scripts/test

develop: ## install missing packages, create .venv with an editable install, compile the plugin
	scripts/setup

cargo-test: develop ## run the Rust tests
	scripts/test rust

test-integration: ## run the Python tests that use several processes and pipelines
	scripts/setup tests
	scripts/test integration

lint: develop ## check formatting, linters and types
	scripts/test lint

fuzz: develop ## test all code that reads frames with ten million damaged inputs (takes some minutes)
	scripts/fuzz

valgrind: develop ## run the Rust core's tests under valgrind
	scripts/valgrind

chaos: develop ## kill, stop and stall processes at random for five minutes; SEED= repeats a run
	.venv/bin/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(ARGS)

soak: develop ## run processes for half an hour and check that memory, descriptors and files do not grow; SECONDS= sets the time
	.venv/bin/python -m tests.soak $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

benchmark: develop ## run the benchmarks; ARGS= passes arguments to them
	scripts/benchmark $(ARGS)

docs: develop ## build the documentation and the API reference in build/site
	scripts/docs

wheel: develop ## build the wheel with the plugin in dist/
	scripts/wheel

release: develop ## build and check the wheel, source distribution and crates in dist/, and print the commands to publish them
	scripts/release

test-matrix: develop ## test the wheel on other Debian releases (as root; needs debootstrap)
	scripts/test-matrix

test-camera: develop ## test cameras (vivid) and slow links (netem) in a virtual machine (needs qemu; takes some minutes)
	scripts/test-camera $(ARGS)

test-lerobot: develop ## test the LeRobot package with LeRobot on Debian 13 (as root; needs debootstrap, downloads 2.5 GB)
	scripts/test-lerobot

test-ros2: develop ## test bridges with hiroz, a ROS 2 participant (the first run compiles for 20 to 45 minutes)
	scripts/setup tests
	scripts/test-ros2 $(ARGS)

clean: ## remove all files that the targets created, except .venv
	rm -rf build dist target python/gst_iceoryx2/plugins .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
