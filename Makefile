# Caravel. `make up` and `make test` install what is missing (packaging/debian-packages.txt) and need nothing else.

BUILD ?= build
MESON_SETUP = test -f $(1)/build.ninja || meson setup $(1) $(2) >$(1).log 2>&1 || { cat $(1).log; exit 1; }

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@tools/install-packages build test
	@$(call MESON_SETUP,$(BUILD))

# A one-machine cluster in the background, and a demo on it.
up: all
	@tools/install-packages run
	@examples/demo/run $(BUILD)/caravel

down:
	@$(BUILD)/caravel down $(DOWN_FLAGS)

test:
	@tools/install-packages build run test
	@tests/run

bench: all
	@tools/install-packages run test
	@bench/run $(BUILD)

# A minute a target by default: make fuzz FUZZ_SECONDS=600
FUZZ_SECONDS ?= 60
fuzz:
	@tools/install-packages build test
	@fuzz/run $(FUZZ_SECONDS)

asan:
	@tools/install-packages build test
	@$(call MESON_SETUP,build-asan,-Db_sanitize=address$(,)undefined)
	@ninja -C build-asan

clean:
	rm -rf build build-asan build-clang build-fuzz build*.log

, := ,
.PHONY: all up down test bench fuzz asan clean
