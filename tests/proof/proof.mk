# SPDX-License-Identifier: MIT
#
# Proofs, coverage and mutation of mm/, included by the Makefile: see tests/proof/README.md.

.PHONY: prove prove-broken coverage mutants

prove:
	@$(PYTHON) tests/proof/prove.py

# The proofs have to refuse broken code.
prove-broken:
	@$(PYTHON) tests/proof/prove.py --broken

# CHOSEN=1: only the mistakes of mutants.txt; FILE=mm/NAME.c: only those in this file; EVERY=N: only
# each Nth.
mutants:
	@$(PYTHON) tests/proof/mutants.py $(if $(CHOSEN),--chosen) $(FILE:%=--file %) $(EVERY:%=--every %)

# ---- coverage of mm/ by the host tests; the serial driver's has nothing to do with it ----

COVERAGE_BUILD  := $(BUILD)/coverage
COVERAGE_CFLAGS := -std=gnu17 -O0 -g $(WARNINGS) --coverage -I. -MMD -MP
COVERAGE_TESTS  := $(filter-out %/test_uart,$(patsubst tests/host/%.c,$(COVERAGE_BUILD)/%,$(wildcard tests/host/test_*.c)))
COVERAGE_OBJECTS := $(HOST_SOURCES:%=$(COVERAGE_BUILD)/%.o) $(COVERAGE_BUILD)/lib/string.c.o

$(COVERAGE_BUILD)/lib/string.c.o: COVERAGE_CFLAGS += $(STRING_RENAMES)

$(COVERAGE_BUILD)/%.c.o: %.c Makefile tests/proof/proof.mk
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(COVERAGE_CFLAGS) -c $< -o $@

$(COVERAGE_BUILD)/test_%: $(COVERAGE_BUILD)/tests/host/test_%.c.o $(COVERAGE_OBJECTS)
	$(Q)$(HOSTCC) $(COVERAGE_CFLAGS) -o $@ $^ -lcmocka

.PRECIOUS: $(COVERAGE_BUILD)/%.c.o

coverage: $(COVERAGE_TESTS)
	@find $(COVERAGE_BUILD) -name '*.gcda' -delete
	@tests/host/run.sh $(COVERAGE_TESTS); status=$$?; \
	    $(PYTHON) tests/proof/coverage.py $(COVERAGE_BUILD) && exit $$status

-include $(shell find $(COVERAGE_BUILD) -name '*.d' 2>/dev/null)
