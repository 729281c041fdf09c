# make demo   set up, build, train on real pictures, show samples
# make test   set up, build, test everything
# make setup | build | check | clean
.DELETE_ON_ERROR:
.PHONY: help setup build demo test check clean

JOBS ?= 2

help:
	@sed -n 's/^# //p' Makefile | head -3

setup:
	@tools/setup

build: setup
	@cmake --preset release $(CMAKE_ARGS) > build/configure.log || { cat build/configure.log; exit 1; }
	@cmake --build build -j $(JOBS) --target $(or $(TARGET),unnoise)
	@echo "built: build/unnoise (try: build/unnoise --help)"

demo: build
	@tools/demo

test:
	@tools/setup --tests
	@$(MAKE) --no-print-directory build TARGET=all
	@ctest --test-dir build --output-on-failure -j 1

check:
	@tools/check

clean:
	rm -rf build build-*
