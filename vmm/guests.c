/* SPDX-License-Identifier: MIT */
/*
 * Guests from module strings. The keys are one table; what is wrong with one guest's words refuses
 * that guest and nobody else.
 */
#include "vmm/guests.h"
#include "lib/format.h"
#include "lib/log.h"
#include "lib/options.h"
#include "lib/string.h"
#include "mm/host.h"
#include "vmm/selftest.h"

#define MEMORY_DEFAULT (32 * MiB)
#define MEMORY_MIN     (2 * MiB)
#define MEMORY_MAX     (3 * GiB) /* the 32-bit device hole would begin above */

typedef bool apply_key(struct vm_config *config, const char *value);

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

static bool apply_name(struct vm_config *config, const char *value)
{
    if (!*value)
        return false;
    for (const char *c = value; *c; c++)
        if (!is_name_char(*c))
            return false;
    return string_copy(config->name, sizeof(config->name), value);
}

static bool apply_memory(struct vm_config *config, const char *value)
{
    return option_size(value, &config->memory) && config->memory >= MEMORY_MIN &&
           config->memory <= MEMORY_MAX && !(config->memory & PAGE_MASK);
}

static bool apply_cmdline(struct vm_config *config, const char *value)
{
    return string_copy(config->cmdline, sizeof(config->cmdline), value);
}

static bool apply_kind(struct vm_config *config, const char *value)
{
    (void)config;
    return !strcmp(value, "kernel");
}

static bool apply_expect(struct vm_config *config, const char *value)
{
    static const char *const names[] = {
        [EXPECT_PASS] = "pass", [EXPECT_TRIPLE_FAULT] = "triple-fault", [EXPECT_KILLED] = "killed"
    };

    for (enum vm_expect e = 0; e < ARRAY_SIZE(names); e++)
        if (!strcmp(value, names[e])) {
            config->expect = e;
            return true;
        }
    return false;
}

static bool not_yet(struct vm_config *config, const char *value)
{
    (void)config;
    (void)value;
    return false;
}

static const struct key_row {
    const char *key;
    apply_key *apply;
    const char *expected;
} keys[] = {
    { "guest", apply_name, "1 to 15 letters, digits, or any of - _ ." },
    { "mem", apply_memory, "whole pages from 2M to 3G, such as 32M" },
    { "cmdline", apply_cmdline, "at most 1023 characters" },
    { "kind", apply_kind, "kernel (initrd and module are not handled yet)" },
    { "expect", apply_expect, "pass, triple-fault or killed" },
    { "shadow", not_yet, "nothing: not handled yet" },
    { "mmu", not_yet, "nothing: not handled yet" },
    { "apic", not_yet, "nothing: not handled yet" },
    { "acpi", not_yet, "nothing: not handled yet" },
    { "cpuid", not_yet, "nothing: not handled yet" },
    { "maxphyaddr", not_yet, "nothing: not handled yet" },
    { "on-triple-fault", not_yet, "nothing: not handled yet" },
    { "vga", not_yet, "nothing: not handled yet" },
};

static const struct key_row *find_key(const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (!strcmp(key, keys[i].key))
            return &keys[i];
    return NULL;
}

static void apply_word(struct vm *vm, const struct option *word)
{
    const struct key_row *row = find_key(word->key);

    if (!*word->key)
        return; /* bare words come from boot loaders' tools and mean nothing */
    if (!row)
        vm_end(vm, VM_REFUSED, "option \"%s\" is unknown", word->key);
    else if (!row->apply(&vm->config, word->value))
        vm_end(vm, VM_REFUSED, "option %s=%.80s: expected %s", word->key, word->value,
               row->expected);
}

/* The name first, so that whatever is wrong with the other words is said of the right guest. */
static void apply_string(struct vm *vm, const char *string, bool names)
{
    static char buffer[OPTION_WORD_MAX]; /* too large for the stack; used at boot only */
    struct option word;
    enum option_next next;

    while ((next = option_next(&string, buffer, &word)) != OPTION_END) {
        if (next != OPTION_WORD && !names)
            vm_end(vm, VM_REFUSED, "option word \"%.80s\" %s", word.value,
                   next == OPTION_TOO_LONG ? "is too long" : "has no closing quote");
        else if (next == OPTION_WORD && !strcmp(word.key, "guest") == names)
            apply_word(vm, &word);
    }
}

static bool name_is_taken(const struct guests *guests, const char *name)
{
    for (size_t i = 0; i < guests->count; i++)
        if (!strcmp(guests->items[i].vm.config.name, name))
            return true;
    return false;
}

static void add_guest(struct guests *guests, const struct boot_module *module)
{
    struct guest *guest = &guests->items[guests->count];
    struct vm_config *config = &guest->vm.config;

    guest->image = module;
    guest->vm.number = (unsigned)guests->count + 1;
    config->memory = MEMORY_DEFAULT;
    format(config->name, sizeof(config->name), "guest%u", guest->vm.number);
    apply_string(&guest->vm, module->string, true);
    if (name_is_taken(guests, config->name))
        vm_end(&guest->vm, VM_REFUSED, "there is a guest of this name already");
    guests->count++;
    apply_string(&guest->vm, module->string, false);
}

void guests_configure(struct guests *guests, const struct boot_info *info,
                      const struct settings *settings)
{
    for (size_t i = 0; i < info->module_count; i++) {
        if (guests->count < GUESTS_MAX) {
            add_guest(guests, &info->modules[i]);
            continue;
        }
        log_printf(LOG_ERROR, "module %zu is left out: at most %d guests", i + 1, GUESTS_MAX);
        guests->errors++;
    }
    for (size_t i = 0; i < guests->count; i++)
        guests->items[i].vm.config.audit = settings->audit;
    guests->items[0].vm.config.spoiled = selftest_spoils_guest(settings->selftest);
    guests->items[0].vm.config.panics = selftest_panics_in_guest(settings->selftest);
}

static void run_guest(struct guest *guest, struct frames *frames)
{
    struct vm *vm = &guest->vm;

    if (vm->end != VM_RUNNING)
        return;
    if (vm_create(vm, frames) && vm_load(vm, host_ptr(guest->image->base), guest->image->size)) {
        log_printf(LOG_INFO, "guest %s: started with %lu MiB", vm->config.name,
                   vm->config.memory / MiB);
        if (vm->config.spoiled)
            engine_set(&vm->vcpu.engine, REG_RFLAGS, 0); /* bit 1 must be set */
        vcpu_run(&vm->vcpu);
    }
    vm_destroy(vm, frames);
}

void guests_run(struct guests *guests, struct frames *frames)
{
    for (size_t i = 0; i < guests->count; i++)
        run_guest(&guests->items[i], frames);
}

size_t guests_failed(const struct guests *guests)
{
    size_t failed = 0;

    for (size_t i = 0; i < guests->count; i++)
        failed += !vm_succeeded(&guests->items[i].vm);
    return failed;
}
