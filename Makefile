# make demo   set up, build, train on real pictures, show samples
# make test   set up, build, test everything
# make bench  time unnoise and its peers on the same work, write docs/bench.md (ARGS="--only train-mnist")
# make setup | build | asan | tsan | check | clean
.DELETE_ON_ERROR:
.PHONY: help setup build demo test bench asan tsan check clean

JOBS ?= 2

help:
	@sed -n 's/^# //p' Makefile | head -4

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
	@GOMP_SPINCOUNT=100 ctest --test-dir build --output-on-failure -j 3  # some suites mostly wait; OpenMP's threads are not to spin
	@$(MAKE) --no-print-directory asan tsan

bench:
	@tools/setup --tests
	@$(MAKE) --no-print-directory build TARGET="unnoise kernel_bench"
	@.venv/bin/python3 tools/bench $(ARGS)

# What reads foreign bytes and what manages memory, under AddressSanitizer and UndefinedBehaviorSanitizer; what shares
# memory between threads under ThreadSanitizer.
asan:
	@cmake --preset asan > build/configure-asan.log || { cat build/configure-asan.log; exit 1; }
	@cmake --build build-asan -j $(JOBS) --target core_test kernels_test io_test data_test
	@for layer in core kernels io data; do \
	  ASAN_OPTIONS=detect_leaks=0 LD_LIBRARY_PATH=build-asan build-asan/$${layer}_test --gtest_brief=1 || exit 1; \
	done  # the sanitizer's dlopen does not see the run path that leads to our modules

tsan:
	@cmake --preset tsan > build/configure-tsan.log || { cat build/configure-tsan.log; exit 1; }
	@cmake --build build-tsan -j $(JOBS) --target kernels_test
	@GOMP_SPINCOUNT=0 build-tsan/kernels_test --gtest_brief=1  # our own threads: the sanitizer knows nothing of OpenMP's

check:
	@tools/check

clean:
	rm -rf build build-*
