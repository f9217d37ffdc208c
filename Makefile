# SPDX-License-Identifier: MIT
#
# Umbra's only Makefile.
#
#   make run        installs what is missing, builds, runs the bundled guests
#   make test       installs what is missing, passes lint, host and boot tests
#   make bench      the paging benchmark: native and under Umbra, beside KVM's figures
#   make all        build/umbra.elf, build/umbra.iso, build/guests/*.elf
#   make lint | test-host | test-boot | fuzz | format | clean
#
# CROSS_COMPILE= is honoured (x86_64-linux-gnu- and the like); COMPILER=clang takes clang.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

# Commands are shown with V=1.
Q        := $(if $(V),,@)
BUILD    := build
COMPILER ?= gcc
ifeq ($(COMPILER),clang)
CC       := clang --target=x86_64-linux-gnu
else
CC       := $(CROSS_COMPILE)gcc
endif
LD       := $(CROSS_COMPILE)ld
NM       := $(CROSS_COMPILE)nm
NASM     := nasm
PYTHON   := $(firstword $(wildcard /usr/bin/python3) python3)
HOSTCC   ?= gcc

# What depends on the compiler goes to a folder of its own, so that switching rebuilds.
OBJECTS  := $(BUILD)/$(COMPILER)

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wundef

include guests/guests.mk
include tests/host/host.mk
include tests/proof/proof.mk

# ---- the hypervisor ----

UMBRA_SOURCES := $(wildcard boot/*.c boot/*.asm arch/x86/*.c arch/x86/*.S arch/x86/vmx/*.c \
    arch/x86/vmx/*.S mm/*.c lib/*.c drivers/serial/*.c vmm/*.c vmm/exit/*.c vmm/dev/*.c \
    vmm/load/*.c)
UMBRA_OBJECTS := $(UMBRA_SOURCES:%=$(OBJECTS)/%.o)

UMBRA_CFLAGS := -std=gnu17 -O2 -g $(WARNINGS) -Wframe-larger-than=2048 -I. \
    -ffreestanding -nostdinc -isystem $(shell $(CC) -print-file-name=include 2>/dev/null) \
    -mcmodel=kernel -mgeneral-regs-only -mno-red-zone -fno-pic -fno-stack-protector \
    -fno-strict-aliasing -fcf-protection=none -fno-omit-frame-pointer \
    -mno-omit-leaf-frame-pointer -fno-optimize-sibling-calls -fno-asynchronous-unwind-tables -MMD -MP
UMBRA_LDFLAGS := -nostdlib -static -z max-page-size=4096 -z noexecstack -T linker.ld

# GCC and clang would turn the loops of memcpy and memset into calls of themselves.
ifneq ($(COMPILER),clang)
$(OBJECTS)/lib/string.c.o: UMBRA_CFLAGS += -fno-tree-loop-distribute-patterns
endif

$(OBJECTS)/%.c.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(UMBRA_CFLAGS) -c $< -o $@

$(OBJECTS)/%.S.o: %.S Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(UMBRA_CFLAGS) -c $< -o $@

$(OBJECTS)/%.asm.o: %.asm Makefile
	@mkdir -p $(@D)
	$(Q)$(NASM) -f elf64 -Werror -MD $@.d -MP -o $@ $<

# Linked twice: the first link's symbols become the table that the second contains.
$(OBJECTS)/symbols-empty.S: tools/symtab.py
	@mkdir -p $(@D)
	$(Q)$(PYTHON) tools/symtab.py </dev/null >$@

$(OBJECTS)/umbra-first.elf: $(UMBRA_OBJECTS) $(OBJECTS)/symbols-empty.S linker.ld
	$(Q)$(CC) -c $(OBJECTS)/symbols-empty.S -o $(OBJECTS)/symbols-empty.o
	$(Q)$(LD) $(UMBRA_LDFLAGS) -o $@ $(UMBRA_OBJECTS) $(OBJECTS)/symbols-empty.o

$(OBJECTS)/umbra.elf: $(OBJECTS)/umbra-first.elf
	$(Q)$(NM) -n $< | $(PYTHON) tools/symtab.py >$(OBJECTS)/symbols.S
	$(Q)$(CC) -c $(OBJECTS)/symbols.S -o $(OBJECTS)/symbols.o
	$(Q)$(LD) $(UMBRA_LDFLAGS) -o $@ $(UMBRA_OBJECTS) $(OBJECTS)/symbols.o

$(BUILD)/umbra.elf: $(OBJECTS)/umbra.elf
	cp $< $@

# Which guests run when none is named, with their options: file, name, options of the module.
$(BUILD)/guests/bundled.list: guests/bundled.list $(GUEST_ELFS)
	cp $< $@

$(BUILD)/umbra.iso: $(BUILD)/umbra.elf $(BUILD)/guests/bundled.list qemu.sh
	./qemu.sh --make-iso $@

.PHONY: all run test lint test-host test-boot test-bench fuzz bench format clean deps-run deps-test
all: $(BUILD)/umbra.elf $(BUILD)/umbra.iso $(BUILD)/guests/bundled.list

# The packages come first: the build itself may need them.
run: deps-run
	@$(MAKE) --no-print-directory all
	./qemu.sh

deps-run:
	@tools/deps.sh run
deps-test:
	@tools/deps.sh test

# ---- tests ----

test: deps-test
	@tests/run.sh

test-boot: all
	$(PYTHON) -m pytest -q tests/boot tests/bench

lint:
	@tests/lint.sh

bench: deps-run
	@$(MAKE) --no-print-directory all
	@tests/bench/run.sh

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf $(BUILD)

-include $(shell find $(OBJECTS) -name '*.d' 2>/dev/null)
