# SPDX-License-Identifier: MIT
#
# Bundled guests, included by the Makefile. Every folder guests/NAME/ but lib is the source of
# build/guests/NAME.elf, a 64-bit guest, unless its guest.mk says otherwise:
#
#   GUESTS_folder      := names     the guests made of this folder's sources, in place of its name
#   GUEST_BITS_name    := 32        stays in 32-bit protected mode (guests/lib/32/start.asm)
#   GUEST_DEFINES_name := -D...     what tells the guests of one folder apart
#
# A guest's *.c and *.asm are compiled for it alone, with GUEST_NAME="NAME", and so is name.c; the
# runtime (guests/lib, and the freestanding part of lib/ that it uses) is an archive for 64-bit and
# one for 32-bit guests, in which guests/lib/32/NAME stands for guests/lib/NAME64.
#
# Uses CC, LD, CROSS_COMPILE, NASM (with defaults) and BUILD; offers GUESTS (names), GUEST_ELFS
# (files), and the targets guests and build/guests/NAME.elf.
#
# Flags: the figures of guests/bench depend on -O2 without unrolling and with strict aliasing. SSE
# is off since the runtime's trap stubs save general registers only.

BUILD ?= build
NASM  ?= nasm

GUEST_FOLDERS := $(sort $(filter-out lib,$(patsubst guests/%/,%,$(dir $(wildcard guests/*/*.c)))))
include $(wildcard guests/*/guest.mk)

guests_of_folder = $(or $(GUESTS_$(1)),$(1))
guest_bits       = $(or $(GUEST_BITS_$(1)),64)

GUESTS     := $(foreach folder,$(GUEST_FOLDERS),$(call guests_of_folder,$(folder)))
GUEST_ELFS := $(GUESTS:%=$(BUILD)/guests/%.elf)

GUEST_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -I. \
    -ffreestanding -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only \
    -fno-stack-protector -fcf-protection=none -fno-unroll-loops \
    -fno-asynchronous-unwind-tables -MMD -MP
ifeq ($(findstring clang,$(CC)),)
GUEST_CFLAGS += -fno-tree-loop-distribute-patterns
endif
GUEST_CFLAGS_32 := -m32 -march=i686 -mregparm=0
GUEST_CFLAGS_64 := -mcmodel=small

GUEST_LDFLAGS := -nostdlib -static -z max-page-size=4096 -z noexecstack -T guests/lib/guest.ld
GUEST_LDFLAGS_32 := -m elf_i386
GUEST_LDFLAGS_64 := -m elf_x86_64

.PHONY: guests
guests: $(GUEST_ELFS)

# Sources to objects, in a folder of their own: a/b.c is build/guest-objects/FOLDER/a/b.c.o.
guest_objects = $(patsubst %,$(BUILD)/guest-objects/$(1)/%.o,$(2))

# $(1): the folder of objects, $(2): 32 or 64, $(3): further flags.
define guest_compile_rules
$(BUILD)/guest-objects/$(1)/%.c.o: %.c
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(GUEST_CFLAGS) $$(GUEST_CFLAGS_$(2)) $(3) -c $$< -o $$@

$(BUILD)/guest-objects/$(1)/%.asm.o: %.asm
	@mkdir -p $$(@D)
	$$(Q)$$(NASM) -f elf$(2) -Werror -MD $$@.d -MP -o $$@ $$<
endef

# ---- the runtime, for 32 and for 64 bits ----

GUEST_RUNTIME_64 := $(filter-out guests/lib/name.c,$(wildcard guests/lib/*.c guests/lib/*.asm)) \
    lib/format.c lib/string.c
GUEST_RUNTIME_32 := $(filter-out %64.c %64.asm,$(GUEST_RUNTIME_64)) \
    $(wildcard guests/lib/32/*.c guests/lib/32/*.asm)

# $(1): 32 or 64.
define guest_runtime_rules
$(call guest_compile_rules,lib$(1),$(1),)

$(BUILD)/guest-objects/lib$(1).a: $(call guest_objects,lib$(1),$(GUEST_RUNTIME_$(1)))
	$$(Q)rm -f $$@ && $(CROSS_COMPILE)ar rcs $$@ $$^
endef
$(foreach bits,32 64,$(eval $(call guest_runtime_rules,$(bits))))

# ---- the guests ----

# $(1): the guest, $(2): its folder, $(3): 32 or 64.
define guest_rules
$(call guest_compile_rules,$(1),$(3),-DGUEST_NAME='"$(1)"' $(GUEST_DEFINES_$(1)))

$(BUILD)/guests/$(1).elf: $(call guest_objects,$(1),$(wildcard guests/$(2)/*.c guests/$(2)/*.asm) \
    guests/lib/name.c) $(BUILD)/guest-objects/lib$(3).a guests/lib/guest.ld
	@mkdir -p $$(@D)
	$$(Q)$$(LD) $$(GUEST_LDFLAGS) $$(GUEST_LDFLAGS_$(3)) -o $$@ $$(filter %.o %.a,$$^)
endef
$(foreach folder,$(GUEST_FOLDERS),$(foreach guest,$(call guests_of_folder,$(folder)),\
    $(eval $(call guest_rules,$(guest),$(folder),$(call guest_bits,$(guest))))))

-include $(shell find $(BUILD)/guest-objects -name '*.d' 2>/dev/null)
