# SPDX-License-Identifier: MIT
#
# Bundled guests, included by the Makefile: every folder guests/NAME/ but lib becomes
# build/guests/NAME.elf. Its *.c and *.asm are linked with the runtime (guests/lib) and with the
# freestanding part of lib/ that the runtime uses. Objects of the runtime are shared; what knows the
# guest's name is not: name.c and the guest's own files, compiled with GUEST_NAME="NAME".
#
# Uses CC, LD, NASM (with defaults) and BUILD; offers GUESTS (names), GUEST_ELFS (files), and the
# targets guests and build/guests/NAME.elf.
#
# Flags: the figures of guests/bench depend on -O2 without unrolling and with strict aliasing. SSE
# is off since the runtime's trap stubs save general registers only.

BUILD ?= build
NASM  ?= nasm

GUESTS     := $(sort $(filter-out lib,$(patsubst guests/%/,%,$(dir $(wildcard guests/*/*.c)))))
GUEST_ELFS := $(GUESTS:%=$(BUILD)/guests/%.elf)

GUEST_CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -I. \
    -ffreestanding -fno-pic -fno-pie -mcmodel=small -mno-red-zone -mgeneral-regs-only \
    -fno-stack-protector -fcf-protection=none -fno-unroll-loops \
    -fno-asynchronous-unwind-tables -MMD -MP
ifeq ($(findstring clang,$(CC)),)
GUEST_CFLAGS += -fno-tree-loop-distribute-patterns
endif
GUEST_LDFLAGS := -nostdlib -static -z max-page-size=4096 -z noexecstack -T guests/lib/guest.ld

# Sources to objects: a/b.c is build/guest-objects/a/b.c.o.
guest_objects = $(patsubst %,$(BUILD)/guest-objects/%.o,$(1))

GUEST_RUNTIME := $(filter-out guests/lib/name.c,$(wildcard guests/lib/*.c guests/lib/*.asm)) \
    lib/format.c lib/string.c
GUEST_RUNTIME_OBJECTS := $(call guest_objects,$(GUEST_RUNTIME))

.PHONY: guests
guests: $(GUEST_ELFS)

$(BUILD)/guest-objects/%.c.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) $(GUEST_DEFINES) -c $< -o $@

$(BUILD)/guest-objects/%.asm.o: %.asm
	@mkdir -p $(@D)
	$(Q)$(NASM) -f elf64 -Werror -MD $@.d -MP -o $@ $<

# name.c once more for each guest; $(1) is the guest.
define guest_rules
GUEST_OBJECTS_$(1) := $(call guest_objects,$(wildcard guests/$(1)/*.c guests/$(1)/*.asm)) \
    $(BUILD)/guest-objects/guests/$(1)/name.o

$$(GUEST_OBJECTS_$(1)): GUEST_DEFINES := -DGUEST_NAME='"$(1)"'

$(BUILD)/guest-objects/guests/$(1)/name.o: guests/lib/name.c
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(GUEST_CFLAGS) $$(GUEST_DEFINES) -c $$< -o $$@

$(BUILD)/guests/$(1).elf: $$(GUEST_OBJECTS_$(1)) $(GUEST_RUNTIME_OBJECTS) guests/lib/guest.ld
	@mkdir -p $$(@D)
	$$(Q)$$(LD) $$(GUEST_LDFLAGS) -o $$@ $$(filter %.o,$$^)
endef
$(foreach guest,$(GUESTS),$(eval $(call guest_rules,$(guest))))

-include $(shell find $(BUILD)/guest-objects -name '*.d' 2>/dev/null)
