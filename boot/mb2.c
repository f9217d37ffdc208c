/* SPDX-License-Identifier: MIT */
/*
 * The structure is a header and a list of tags, each 8-byte aligned and led by its type and size,
 * ended by a tag of type 0 (Multiboot2 Specification 2.0, section 3.6.2 "Basic tags structure").
 * A struct parser holds the bytes and the tag at hand; its fetchers are the only ones that touch
 * bytes, always by copy, since nothing promises alignment to the compiler.
 *
 * Invariants: offset + size of the tag at hand never exceeds the readable bytes, and a handler is
 * called only if the tag is as long as its row of the table asks. A tag that lies about its size
 * ends the list, because what follows it cannot be found.
 */
#include "boot/mb2.h"
#include "lib/format.h"
#include "lib/log.h"
#include "lib/string.h"

#define HEADER_SIZE   8 /* total_size, reserved */
#define TAG_HEADER    8 /* type, size */
#define TAG_ALIGNMENT 8

enum tag_type {
    TAG_END = 0,
    TAG_COMMAND_LINE = 1,
    TAG_LOADER_NAME = 2,
    TAG_MODULE = 3,
    TAG_MEMORY_MAP = 6,
    TAG_RSDP_V1 = 14,
    TAG_RSDP_V2 = 15,
};

/* Offsets in tags. */
#define MODULE_START      8
#define MODULE_END        12
#define MODULE_STRING     16
#define MAP_ENTRY_SIZE    8
#define MAP_ENTRY_VERSION 12
#define MAP_ENTRIES       16

/* An entry of the memory map: offsets, and the size that entry_size is at least. */
#define ENTRY_BASE     0
#define ENTRY_LENGTH   8
#define ENTRY_KIND     16
#define ENTRY_SIZE_MIN 24

/* ACPI Specification 6.5, section 5.2.5.3 "Root System Description Pointer (RSDP) Structure". */
#define RSDP_V1_SIZE 20
#define RSDP_V2_SIZE 36
#define RSDP_LENGTH  20 /* offset of the length that the extended checksum covers */

struct parser {
    const uint8_t *bytes;
    uint64_t size; /* readable bytes */
    struct boot_info *info;
    const char *name; /* of the tag at hand */
    uint64_t offset;
    uint32_t tag_size;
};

struct tag_kind {
    uint32_t type;
    uint32_t size_min; /* bytes, with the tag's header */
    const char *name;
    void (*take)(struct parser *parser);
};

static void printf_like(2, 3) problem(struct parser *parser, const char *fmt, ...)
{
    char text[160];
    va_list arguments;

    va_start(arguments, fmt);
    vformat(text, sizeof(text), fmt, arguments);
    va_end(arguments);
    log_printf(LOG_WARN, "multiboot2: %s at offset %llu: %s", parser->name,
               (unsigned long long)parser->offset, text);
    parser->info->problems++;
}

/* The fetchers take offsets into the tag at hand, whose size the caller has checked. */
static uint32_t fetch32(const struct parser *parser, uint32_t at)
{
    uint32_t value;

    ASSERT((uint64_t)at + sizeof(value) <= parser->tag_size);
    memcpy(&value, parser->bytes + parser->offset + at, sizeof(value));
    return value;
}

static uint64_t fetch64(const struct parser *parser, uint32_t at)
{
    uint64_t value;

    ASSERT((uint64_t)at + sizeof(value) <= parser->tag_size);
    memcpy(&value, parser->bytes + parser->offset + at, sizeof(value));
    return value;
}

/* Copies the string at offset at into to, cut to what is there and to what fits. */
static void fetch_string(struct parser *parser, uint32_t at, char *to, size_t size)
{
    const uint8_t *from = parser->bytes + parser->offset + at;
    size_t available = parser->tag_size - at;
    size_t length = 0;

    while (length < available && from[length] != '\0')
        length++;
    if (length == available)
        problem(parser, "its string has no end");
    if (length >= size) {
        problem(parser, "its string has %zu bytes, kept are %zu", length, size - 1);
        length = size - 1;
    }
    memcpy(to, from, length);
    to[length] = '\0';
}

static void take_command_line(struct parser *parser)
{
    struct boot_info *info = parser->info;

    fetch_string(parser, TAG_HEADER, info->command_line, sizeof(info->command_line));
}

static void take_loader_name(struct parser *parser)
{
    fetch_string(parser, TAG_HEADER, parser->info->loader, sizeof(parser->info->loader));
}

static void take_module(struct parser *parser)
{
    struct boot_info *info = parser->info;
    uint32_t start = fetch32(parser, MODULE_START);
    uint32_t end = fetch32(parser, MODULE_END);

    if (end < start) {
        problem(parser, "ends at 0x%x, before its start 0x%x", end, start);
        return;
    }
    if (info->module_count == BOOT_MODULES_MAX) {
        problem(parser, "left out, more than %d modules", BOOT_MODULES_MAX);
        return;
    }
    struct boot_module *module = &info->modules[info->module_count++];
    module->base = hpa(start);
    module->size = end - start;
    fetch_string(parser, MODULE_STRING, module->string, sizeof(module->string));
}

static enum boot_range_kind range_kind(struct parser *parser, uint32_t kind)
{
    if (kind >= BOOT_RAM && kind <= BOOT_BAD)
        return (enum boot_range_kind)kind;
    problem(parser, "unknown kind of memory %u is taken as reserved", kind);
    return BOOT_RESERVED;
}

static void take_range(struct parser *parser, uint32_t at)
{
    struct boot_info *info = parser->info;
    uint64_t base = fetch64(parser, at + ENTRY_BASE);
    uint64_t size = fetch64(parser, at + ENTRY_LENGTH);

    if (size == 0)
        return;
    if (size > UINT64_MAX - base) {
        problem(parser, "range 0x%llx of size 0x%llx wraps", (unsigned long long)base,
                (unsigned long long)size);
        return;
    }
    info->ranges[info->range_count++] = (struct boot_range){
        .base = hpa(base),
        .size = size,
        .kind = range_kind(parser, fetch32(parser, at + ENTRY_KIND)),
    };
}

static void take_memory_map(struct parser *parser)
{
    uint32_t entry_size = fetch32(parser, MAP_ENTRY_SIZE);
    uint32_t version = fetch32(parser, MAP_ENTRY_VERSION);
    uint32_t left = parser->tag_size - MAP_ENTRIES;

    if (entry_size < ENTRY_SIZE_MIN) {
        problem(parser, "entries of %u bytes, expected %d", entry_size, ENTRY_SIZE_MIN);
        return;
    }
    if (version != 0) /* the specification promises that what is known stays where it is */
        problem(parser, "entries of version %u are read as version 0", version);
    for (; left >= entry_size; left -= entry_size) {
        if (parser->info->range_count == BOOT_RANGES_MAX) {
            problem(parser, "%u entries left out, more than %d", left / entry_size,
                    BOOT_RANGES_MAX);
            return;
        }
        take_range(parser, parser->tag_size - left);
    }
    if (left != 0)
        problem(parser, "%u bytes behind the last whole entry", left);
}

static bool sums_to_zero(const uint8_t *bytes, size_t size)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return sum == 0;
}

/* Version 2 has the 20 bytes of version 1 in front, with their own checksum. */
static bool rsdp_begins_well(struct parser *parser)
{
    const uint8_t *rsdp = parser->bytes + parser->offset + TAG_HEADER;

    if (memcmp(rsdp, "RSD PTR ", 8) != 0) {
        problem(parser, "no signature \"RSD PTR \"");
        return false;
    }
    if (!sums_to_zero(rsdp, RSDP_V1_SIZE)) {
        problem(parser, "wrong checksum");
        return false;
    }
    return true;
}

static void keep_rsdp(struct parser *parser, size_t size)
{
    memcpy(parser->info->rsdp, parser->bytes + parser->offset + TAG_HEADER, size);
    parser->info->rsdp_size = size;
}

static void take_rsdp_v1(struct parser *parser)
{
    if (rsdp_begins_well(parser) && parser->info->rsdp_size != RSDP_V2_SIZE)
        keep_rsdp(parser, RSDP_V1_SIZE);
}

static void take_rsdp_v2(struct parser *parser)
{
    const uint8_t *rsdp = parser->bytes + parser->offset + TAG_HEADER;
    uint32_t length = fetch32(parser, TAG_HEADER + RSDP_LENGTH);

    if (!rsdp_begins_well(parser))
        return;
    if (length < RSDP_V2_SIZE || length > parser->tag_size - TAG_HEADER)
        problem(parser, "length of %u bytes, expected %d", length, RSDP_V2_SIZE);
    else if (!sums_to_zero(rsdp, length))
        problem(parser, "wrong extended checksum");
    else
        keep_rsdp(parser, RSDP_V2_SIZE);
}

static const struct tag_kind tag_kinds[] = {
    { TAG_COMMAND_LINE, TAG_HEADER, "command line", take_command_line },
    { TAG_LOADER_NAME, TAG_HEADER, "boot loader name", take_loader_name },
    { TAG_MODULE, MODULE_STRING, "module", take_module },
    { TAG_MEMORY_MAP, MAP_ENTRIES, "memory map", take_memory_map },
    { TAG_RSDP_V1, TAG_HEADER + RSDP_V1_SIZE, "ACPI 1.0 RSDP", take_rsdp_v1 },
    { TAG_RSDP_V2, TAG_HEADER + RSDP_V2_SIZE, "ACPI 2.0 RSDP", take_rsdp_v2 },
};

static const struct tag_kind *tag_kind_find(uint32_t type)
{
    for (size_t i = 0; i < ARRAY_SIZE(tag_kinds); i++)
        if (tag_kinds[i].type == type)
            return &tag_kinds[i];
    return NULL;
}

/* Puts the tag at parser->offset at hand; false if there is none that can be used. */
static bool open_tag(struct parser *parser, uint32_t *type)
{
    uint64_t left = parser->size - parser->offset;

    parser->name = "tag list";
    parser->tag_size = TAG_HEADER;
    if (left < TAG_HEADER) {
        problem(parser, "no end tag");
        return false;
    }
    *type = fetch32(parser, 0);
    uint32_t size = fetch32(parser, 4);
    if (size < TAG_HEADER || size > left) {
        problem(parser, "tag of type %u has %u bytes, expected %d to %llu", *type, size, TAG_HEADER,
                (unsigned long long)left);
        return false;
    }
    parser->tag_size = size;
    return true;
}

static void take_tag(struct parser *parser, uint32_t type)
{
    const struct tag_kind *kind = tag_kind_find(type);

    if (!kind)
        return;
    parser->name = kind->name;
    if (parser->tag_size < kind->size_min)
        problem(parser, "%u bytes, expected at least %u", parser->tag_size, kind->size_min);
    else
        kind->take(parser);
}

static void take_tags(struct parser *parser)
{
    uint32_t type;

    parser->offset = HEADER_SIZE;
    while (open_tag(parser, &type) && type != TAG_END) {
        take_tag(parser, type);
        uint64_t next = align_up(parser->offset + parser->tag_size, TAG_ALIGNMENT);
        parser->offset = min_u64(next, parser->size);
    }
}

/* Sets parser->size; false if there is no room for even one tag. */
static bool take_header(struct parser *parser, uint64_t limit)
{
    uint32_t total_size;

    parser->name = "header";
    if (limit < HEADER_SIZE) {
        problem(parser, "%llu bytes, expected %d", (unsigned long long)limit, HEADER_SIZE);
        return false;
    }
    memcpy(&total_size, parser->bytes, sizeof(total_size));
    if (total_size < HEADER_SIZE) {
        problem(parser, "total size of %u bytes, expected at least %d", total_size, HEADER_SIZE);
        return false;
    }
    if (total_size > limit)
        problem(parser, "total size of %u bytes, readable are %llu", total_size,
                (unsigned long long)limit);
    parser->size = min_u64(total_size, limit);
    return true;
}

bool mb2_parse(const void *mbi, uint64_t limit, hpa_t where, struct boot_info *info)
{
    struct parser parser = { .bytes = mbi, .info = info };

    memset(info, 0, sizeof(*info));
    if (!take_header(&parser, limit)) {
        log_printf(LOG_ERROR, "multiboot2: the boot information cannot be used");
        return false;
    }
    info->loader_info = where;
    info->loader_info_size = parser.size;
    take_tags(&parser);
    if (info->range_count == 0) {
        log_printf(LOG_ERROR, "multiboot2: no memory map was given");
        return false;
    }
    return true;
}
