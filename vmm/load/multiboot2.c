/* SPDX-License-Identifier: MIT */
/*
 * Multiboot 2 (Multiboot2 Specification 2.0, sections 3.1 "OS image format" to 3.6 "Boot
 * information format"). The header is a list of tags, each a demand or, with its optional flag set,
 * a wish. A demand that is unknown or cannot be met ends the boot; one table says what becomes of
 * each tag. The start is that of a BIOS: tags for EFI are of no concern.
 *
 * The information structure is a list of tags as well. It is produced twice by the same functions,
 * first to learn its size, then to write it. Everything there is is given, requested or not.
 */
#include "vmm/load/multiboot2.h"
#include "vmm/load/multiboot.h"
#include "vmm/load/elf.h"
#include "lib/string.h"

#define MULTIBOOT2_START_MAGIC 0x36d76289u
#define TAG_ALIGNMENT          8

/* ------ The header ------ */

#define HEADER_SIZE       16 /* magic, architecture, length, checksum */
#define HEADER_TAG_SIZE   8  /* type, flags, size */
#define ARCHITECTURE_I386 0
#define TAG_OPTIONAL      BIT(0)
#define CONSOLE_REQUIRED  BIT(0)

struct header_tag {
    uint64_t at; /* file offset */
    uint32_t type, flags, size;
    const uint8_t *content; /* what follows the 8 bytes that all tags have */
};

/* What the tags say that matters later. */
struct header {
    uint64_t at;  /* file offset */
    uint64_t end; /* file offset, of its length field */
    bool entry_given;
    uint32_t entry;
    bool relocatable; /* to somewhere in [lowest, highest], on a multiple of alignment */
    uint32_t lowest, highest, alignment;
};

typedef bool header_tag_handler(struct load_plan *plan, struct header *header,
                                const struct header_tag *tag);

/* Tags of the information structure: all there are, and which of them are given. */
enum info_tag {
    INFO_END = 0,
    INFO_CMDLINE = 1,
    INFO_LOADER_NAME = 2,
    INFO_MODULE = 3,
    INFO_MEMORY_SIZES = 4,
    INFO_MEMORY_MAP = 6,
    INFO_LOAD_BASE = 21,
};

static const struct {
    const char *name;
    bool given;
} info_tags[] = {
    [INFO_END] = { "end", true },
    [INFO_CMDLINE] = { "command line", true },
    [INFO_LOADER_NAME] = { "loader name", true },
    [INFO_MODULE] = { "modules", true }, /* there are none, and none are given */
    [INFO_MEMORY_SIZES] = { "memory sizes", true },
    [5] = { "BIOS boot device", false },
    [INFO_MEMORY_MAP] = { "memory map", true },
    [7] = { "VBE", false },
    [8] = { "framebuffer", false },
    [9] = { "ELF sections", false },
    [10] = { "APM", false },
    [11] = { "EFI 32-bit system table", false },
    [12] = { "EFI 64-bit system table", false },
    [13] = { "SMBIOS", false },
    [14] = { "ACPI 1.0 RSDP", false },
    [15] = { "ACPI 2.0 RSDP", false },
    [16] = { "network", false },
    [17] = { "EFI memory map", false },
    [18] = { "EFI boot services", false },
    [19] = { "EFI 32-bit image handle", false },
    [20] = { "EFI 64-bit image handle", false },
    [INFO_LOAD_BASE] = { "load base", true },
};

static const struct multiboot_version version = {
    .number = 2,
    .magic = 0xe85250d6,
    .limit = 32768,
    .alignment = 8,
    .words = 4, /* magic, architecture, length, checksum */
};

bool multiboot2_recognize(struct load_plan *plan)
{
    uint64_t offset;

    return multiboot_find(plan, &version, &offset);
}

bool multiboot2_resembles(struct load_plan *plan)
{
    return multiboot_resembles(plan, &version);
}

bool multiboot2_explain(struct load_plan *plan, struct start_state *start)
{
    (void)start;
    return multiboot_explain(plan, &version);
}

static bool refuse_tag(struct load_plan *plan, const struct header_tag *tag, const char *why)
{
    return plan_refuse(plan, "multiboot 2 header tag %u at file offset 0x%lx: %s", tag->type,
                       tag->at, why);
}

static bool take_request(struct load_plan *plan, struct header *header,
                         const struct header_tag *tag)
{
    (void)header;
    for (uint32_t i = 0; i < (tag->size - HEADER_TAG_SIZE) / 4; i++) {
        uint32_t type = le32_at(tag->content + i * 4);
        const char *name = type < ARRAY_SIZE(info_tags) ? info_tags[type].name : "unknown";

        if (type >= ARRAY_SIZE(info_tags) || !info_tags[type].given)
            return plan_refuse(plan,
                               "multiboot 2 header tag 1 at file offset 0x%lx requests information "
                               "%u (%s), which is not given",
                               tag->at, type, name);
    }
    return true;
}

static bool refuse_addresses(struct load_plan *plan, struct header *header,
                             const struct header_tag *tag)
{
    (void)header;
    return refuse_tag(plan, tag, "addresses of an image that is not ELF are not handled yet");
}

static bool take_entry(struct load_plan *plan, struct header *header, const struct header_tag *tag)
{
    (void)plan;
    header->entry_given = true;
    header->entry = le32_at(tag->content);
    return true;
}

static bool take_console(struct load_plan *plan, struct header *header,
                         const struct header_tag *tag)
{
    (void)header;
    if (le32_at(tag->content) & CONSOLE_REQUIRED)
        return refuse_tag(plan, tag, "a console is required; guests have none but serial ports");
    return true;
}

static bool refuse_framebuffer(struct load_plan *plan, struct header *header,
                               const struct header_tag *tag)
{
    (void)header;
    return refuse_tag(plan, tag, "a framebuffer is required; guests have none");
}

static bool ignore(struct load_plan *plan, struct header *header, const struct header_tag *tag)
{
    (void)plan;
    (void)header;
    (void)tag;
    return true;
}

static bool take_relocatable(struct load_plan *plan, struct header *header,
                             const struct header_tag *tag)
{
    (void)plan;
    header->relocatable = true;
    header->lowest = le32_at(tag->content);
    header->highest = le32_at(tag->content + 4);
    header->alignment = le32_at(tag->content + 8);
    return true;
}

/* By type; sizes are the least that the tag's fields need, with the 8 bytes common to all. */
static const struct {
    uint32_t size;
    header_tag_handler *handle;
} header_tags[] = {
    [1] = { 8, take_request },        /* information request */
    [2] = { 24, refuse_addresses },   /* addresses of a flat image */
    [3] = { 12, take_entry },         /* entry address */
    [4] = { 12, take_console },       /* console flags */
    [5] = { 20, refuse_framebuffer }, /* framebuffer */
    [6] = { 8, ignore },              /* modules page aligned: there are none yet */
    [7] = { 8, ignore },              /* EFI boot services */
    [8] = { 12, ignore },             /* EFI i386 entry address */
    [9] = { 12, ignore },             /* EFI amd64 entry address */
    [10] = { 24, take_relocatable },  /* relocatable image */
};

static bool take_tag(struct load_plan *plan, struct header *header, const struct header_tag *tag)
{
    bool optional = tag->flags & TAG_OPTIONAL;

    if (tag->type >= ARRAY_SIZE(header_tags) || header_tags[tag->type].handle == NULL)
        return optional || refuse_tag(plan, tag, "unknown, and not marked optional");
    if (tag->size < header_tags[tag->type].size)
        return plan_refuse(plan,
                           "multiboot 2 header tag %u at file offset 0x%lx: %u bytes, too short: "
                           "%u are needed",
                           tag->type, tag->at, tag->size, header_tags[tag->type].size);
    return header_tags[tag->type].handle(plan, header, tag) || optional;
}

static bool read_tag(struct load_plan *plan, const struct header *header, struct header_tag *tag)
{
    const uint8_t *bytes;

    if (tag->at > header->end || header->end - tag->at < HEADER_TAG_SIZE)
        return plan_refuse(plan,
                           "multiboot 2 header at file offset 0x%lx has no end tag (type 0) before "
                           "its end at 0x%lx",
                           header->at, header->end);
    bytes = plan_bytes(plan, tag->at, HEADER_TAG_SIZE);
    tag->type = le16_at(bytes);
    tag->flags = le16_at(bytes + 2);
    tag->size = le32_at(bytes + 4);
    tag->content = bytes + HEADER_TAG_SIZE;
    if (tag->size < HEADER_TAG_SIZE || tag->size > header->end - tag->at)
        return plan_refuse(plan,
                           "multiboot 2 header tag %u at file offset 0x%lx: size of %u bytes, not "
                           "8 to %lu",
                           tag->type, tag->at, tag->size, header->end - tag->at);
    return true;
}

static bool take_tags(struct load_plan *plan, struct header *header)
{
    struct header_tag tag = { .at = header->at + HEADER_SIZE };

    for (;;) {
        if (!read_tag(plan, header, &tag))
            return false;
        if (tag.type == INFO_END)
            return true;
        if (!take_tag(plan, header, &tag))
            return false;
        tag.at += align_up(tag.size, TAG_ALIGNMENT);
    }
}

static bool read_header(struct load_plan *plan, struct header *header)
{
    uint64_t limit = min_u64(version.limit, plan->request->size);
    uint32_t architecture, length;
    const uint8_t *bytes;

    ASSERT(multiboot_find(plan, &version, &header->at));
    bytes = plan_bytes(plan, header->at, HEADER_SIZE);
    architecture = le32_at(bytes + 4);
    length = le32_at(bytes + 8);
    if (architecture != ARCHITECTURE_I386)
        return plan_refuse(plan,
                           "multiboot 2 header at file offset 0x%lx is for architecture %u, not 0 "
                           "(i386)",
                           header->at, architecture);
    if (length < HEADER_SIZE || length > limit - header->at)
        return plan_refuse(plan,
                           "multiboot 2 header at file offset 0x%lx: length of %u bytes, not 16 to "
                           "%lu (it has to lie in the file's first %lu bytes)",
                           header->at, length, limit - header->at, limit);
    header->end = header->at + length;
    if (!take_tags(plan, header))
        return false;
    if (!elf_recognize(plan))
        return plan_refuse(plan,
                           "multiboot 2 header at file offset 0x%lx in a file that is not ELF: "
                           "nothing says where to load it",
                           header->at);
    return true;
}

/* ------ Segments and entry ------ */

static gpa_t load_base(const struct load_plan *plan)
{
    gpa_t base = plan->segments[0].to;

    for (size_t i = 1; i < plan->segment_count; i++)
        base = gpa(min_u64(base.v, plan->segments[i].to.v));
    return base;
}

static uint64_t load_end(const struct load_plan *plan)
{
    uint64_t end = 0;

    for (size_t i = 0; i < plan->segment_count; i++)
        end = max_u64(end, plan->segments[i].to.v + plan->segments[i].size);
    return end;
}

/* A relocatable image stays where it is linked to; it may be one that must not. */
static bool check_relocation(struct load_plan *plan, const struct header *header)
{
    uint64_t base = load_base(plan).v;
    uint64_t last = load_end(plan) - 1;

    if (!header->relocatable)
        return true;
    if (base < header->lowest || last > header->highest)
        return plan_refuse(plan,
                           "multiboot 2 header asks for a place in 0x%x to 0x%x, the image is "
                           "linked to 0x%lx to 0x%lx: relocation is not handled yet",
                           header->lowest, header->highest, base, last);
    if (header->alignment != 0 && base % header->alignment != 0)
        return plan_refuse(plan,
                           "multiboot 2 header asks for a multiple of 0x%x, the image is linked to "
                           "0x%lx: relocation is not handled yet",
                           header->alignment, base);
    return true;
}

static bool find_entry(struct load_plan *plan, const struct header *header, uint32_t *entry)
{
    if (!header->entry_given)
        return elf_entry(plan, entry);
    if (plan_segment_at(plan, gpa(header->entry)) == NULL)
        return plan_refuse(plan,
                           "entry address 0x%x of the multiboot 2 header at file offset 0x%lx lies "
                           "in no segment that is loaded",
                           header->entry, header->at);
    *entry = header->entry;
    return true;
}

/* ------ The information structure ------ */

struct info_writer {
    const struct load_plan *plan;
    uint64_t size; /* so far */
    bool writing;  /* false: only to learn the size */
};

static void put(struct info_writer *writer, const void *from, uint64_t size)
{
    if (writer->writing)
        plan_write_info(writer->plan, writer->size, from, size);
    writer->size += size;
}

/* Starts a tag whose content has size bytes. */
static void put_tag(struct info_writer *writer, enum info_tag type, uint64_t size)
{
    uint32_t head[2] = { type, (uint32_t)(sizeof(head) + size) };

    writer->size = align_up(writer->size, TAG_ALIGNMENT);
    put(writer, head, sizeof(head));
}

static void put_string(struct info_writer *writer, enum info_tag type, const char *text)
{
    uint64_t size = strlen(text) + 1;

    put_tag(writer, type, size);
    put(writer, text, size);
}

static void put_load_base(struct info_writer *writer)
{
    uint32_t base = (uint32_t)load_base(writer->plan).v;

    put_tag(writer, INFO_LOAD_BASE, sizeof(base));
    put(writer, &base, sizeof(base));
}

static void put_memory_sizes(struct info_writer *writer)
{
    const struct load_request *request = writer->plan->request;
    uint32_t sizes[2] = { multiboot_lower_memory(request), multiboot_upper_memory(request) };

    put_tag(writer, INFO_MEMORY_SIZES, sizeof(sizes));
    put(writer, sizes, sizeof(sizes));
}

static void put_memory_map(struct info_writer *writer)
{
    const struct load_request *request = writer->plan->request;
    struct {
        uint64_t base, size;
        uint32_t type, reserved;
    } range;
    uint32_t head[2] = { sizeof(range), 0 /* version */ };

    put_tag(writer, INFO_MEMORY_MAP, sizeof(head) + request->range_count * sizeof(range));
    put(writer, head, sizeof(head));
    for (size_t i = 0; i < request->range_count; i++) {
        range.base = request->ranges[i].base.v;
        range.size = request->ranges[i].size;
        range.type = request->ranges[i].kind;
        range.reserved = 0;
        put(writer, &range, sizeof(range));
    }
}

/* In GRUB's order. Returns the size; writes only if the plan knows it already. */
static uint64_t put_info(const struct load_plan *plan)
{
    struct info_writer writer = { .plan = plan, .writing = plan->info_size != 0 };
    uint32_t head[2] = { (uint32_t)plan->info_size, 0 /* reserved */ };

    put(&writer, head, sizeof(head));
    put_load_base(&writer);
    put_string(&writer, INFO_CMDLINE, plan->request->cmdline);
    put_string(&writer, INFO_LOADER_NAME, MULTIBOOT_LOADER_NAME);
    put_memory_map(&writer);
    put_memory_sizes(&writer);
    put_tag(&writer, INFO_END, 0);
    return writer.size;
}

bool multiboot2_load(struct load_plan *plan, struct start_state *start)
{
    struct header header = { 0 };

    if (!read_header(plan, &header) || !elf_plan(plan))
        return false;
    if (!check_relocation(plan, &header) || !find_entry(plan, &header, &start->eip))
        return false;
    if (!plan_place_info(plan, put_info(plan)))
        return false;
    plan_carry_out(plan);
    put_info(plan);
    start->eax = MULTIBOOT2_START_MAGIC;
    start->ebx = (uint32_t)plan->info.v;
    return true;
}
