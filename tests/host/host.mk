# SPDX-License-Identifier: MIT
#
# Host tests and fuzzers, included by the Makefile: each tests/host/test_NAME.c is one cmocka
# program, linked to one archive of everything that can run on the build machine.

HOST_BUILD  := $(BUILD)/host
HOST_CFLAGS := -std=gnu17 -O1 -g $(WARNINGS) -fno-omit-frame-pointer \
    -fsanitize=address,undefined -fno-sanitize-recover=all -I. -MMD -MP

HOST_SOURCES := $(wildcard mm/*.c boot/*.c vmm/load/*.c) $(filter-out lib/string.c,$(wildcard lib/*.c)) \
    arch/x86/vmx/caps.c vmm/control.c vmm/combine.c tests/host/host.c tests/host/model.c \
    $(addprefix tests/host/history,.c _allowed.c _cpu.c _make.c _memory.c _processor.c)
HOST_OBJECTS := $(HOST_SOURCES:%=$(HOST_BUILD)/%.o) $(HOST_BUILD)/lib/string.c.o
HOST_TESTS   := $(patsubst tests/host/%.c,$(HOST_BUILD)/%,$(wildcard tests/host/test_*.c))

# Our string functions under names that do not replace the C library's.
STRING_RENAMES := -ffreestanding $(foreach f,memcpy memmove memset memcmp strlen strcmp strncmp,-D$(f)=umbra_$(f))

$(HOST_BUILD)/lib/string.c.o: HOST_CFLAGS += $(STRING_RENAMES)

$(HOST_BUILD)/%.c.o: %.c Makefile tests/host/host.mk
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(HOST_CFLAGS) -c $< -o $@

$(HOST_BUILD)/umbra-host.a: $(HOST_OBJECTS)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $^

$(HOST_BUILD)/test_%: $(HOST_BUILD)/tests/host/test_%.c.o $(HOST_BUILD)/umbra-host.a
	$(Q)$(HOSTCC) $(HOST_CFLAGS) -o $@ $^ -lcmocka

# The 16550 driver is compiled against a simulated port.
$(HOST_BUILD)/test_uart: tests/host/test_uart.c drivers/serial/uart.c tests/host/fake/arch/x86/insn.h
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) -Itests/host/fake $(HOST_CFLAGS) -o $@ $(filter %.c,$^) -lcmocka

.PRECIOUS: $(HOST_BUILD)/%.c.o

# ---- exhaustive: all combinations of the walk test, without sanitizers ----

FAST_BUILD   := $(BUILD)/host-fast
FAST_CFLAGS  := -std=gnu17 -O2 -g $(WARNINGS) -I. -MMD -MP
FAST_OBJECTS := $(HOST_SOURCES:%=$(FAST_BUILD)/%.o) $(FAST_BUILD)/lib/string.c.o

$(FAST_BUILD)/lib/string.c.o: FAST_CFLAGS += $(STRING_RENAMES)

$(FAST_BUILD)/%.c.o: %.c Makefile tests/host/host.mk
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(FAST_CFLAGS) -c $< -o $@

$(FAST_BUILD)/test_walk: $(FAST_BUILD)/tests/host/test_walk.c.o $(FAST_OBJECTS)
	$(Q)$(HOSTCC) $(FAST_CFLAGS) -o $@ $^ -lcmocka

.PHONY: exhaustive
exhaustive: $(FAST_BUILD)/test_walk
	UMBRA_EXHAUSTIVE=1 $<

.PHONY: host-tests test-host test-fuzz fuzz
host-tests: $(HOST_TESTS)
test-host: host-tests
	@tests/host/run.sh $(HOST_TESTS)

# ---- soak: random histories without end, without sanitizers ----

$(FAST_BUILD)/soak: $(FAST_BUILD)/tests/host/history_soak.c.o $(FAST_OBJECTS)
	$(Q)$(HOSTCC) $(FAST_CFLAGS) -o $@ $^

.PHONY: soak
soak: $(FAST_BUILD)/soak
	@$<

# ---- fuzzers: clang's libFuzzer ----

FUZZERS      := $(patsubst tests/host/%.c,$(BUILD)/fuzz/%,$(wildcard tests/host/fuzz_*.c))
FUZZ_CFLAGS  := -std=gnu17 -O1 -g -I. -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FUZZ_SOURCES := $(filter-out lib/string.c,$(HOST_SOURCES))
FUZZ_SECONDS ?= 60

$(BUILD)/fuzz/string.o: lib/string.c
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_CFLAGS) $(STRING_RENAMES) -c $< -o $@

$(BUILD)/fuzz/fuzz_%: tests/host/fuzz_%.c $(FUZZ_SOURCES) $(BUILD)/fuzz/string.o
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $^

# A short campaign for every day, the same inputs each time; `make fuzz` searches.
FUZZ_RUNS := 30000
test-fuzz: $(FUZZERS)
	@failed=0; for f in $(FUZZERS); do \
	    if $$f -runs=$(FUZZ_RUNS) -seed=1 -artifact_prefix=$(BUILD)/fuzz/ >$$f.log 2>&1; then \
	        echo "ok      fuzz: $$(basename $$f), $(FUZZ_RUNS) runs"; \
	    else echo "FAILED  fuzz: $$(basename $$f)"; tail -40 $$f.log; failed=$$((failed + 1)); fi; \
	done; echo "$$(($(words $(FUZZERS)) - failed)) passed, $$failed failed"; [ $$failed = 0 ]

fuzz: $(FUZZERS)
	@for f in $(FUZZERS); do echo "== $$f, $(FUZZ_SECONDS) s"; \
	    $$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 2>&1 | tail -8 || exit 1; done

-include $(shell find $(HOST_BUILD) $(FAST_BUILD) -name '*.d' 2>/dev/null)
