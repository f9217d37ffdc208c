/* SPDX-License-Identifier: MIT */
/*
 * ELF (System V ABI, chapters 4 "Object Files" and 5 "Program Loading"). Files of both classes are
 * widened into the same two structures on reading, so that all checks are written once.
 *
 * No field is believed before it has been compared with the file's size, in a way that cannot
 * wrap: "offset <= size && length <= size - offset". Segments go to p_paddr. The entry point is a
 * virtual address, and paging is off at the start, so it is moved by the distance between p_paddr
 * and p_vaddr of the segment that holds it, as GRUB does (grub-core/loader/multiboot_elfxx.c).
 */
#include "vmm/load/elf.h"
#include "lib/format.h"
#include "lib/string.h"

enum elf_class { ELF_CLASS_32 = 1, ELF_CLASS_64 = 2 };
enum elf_type { ELF_TYPE_EXECUTABLE = 2, ELF_TYPE_SHARED = 3 };
enum elf_machine { ELF_MACHINE_386 = 3, ELF_MACHINE_X86_64 = 62 };
enum elf_segment_type { ELF_SEGMENT_LOAD = 1, ELF_SEGMENT_NOTE = 4 };

#define ELF_LITTLE_ENDIAN   1
#define ELF_CURRENT_VERSION 1

struct elf_identification {
    uint8_t magic[4];
    uint8_t class;
    uint8_t byte_order;
    uint8_t version;
    uint8_t rest[9];
};

struct elf32_header {
    struct elf_identification identification;
    uint16_t type, machine;
    uint32_t version, entry, phoff, shoff, flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf32_header) == 52, "System V ABI, figure 4-3");

struct elf64_header {
    struct elf_identification identification;
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf64_header) == 64, "ELF-64 object file format, figure 2");

struct elf32_segment {
    uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
_Static_assert(sizeof(struct elf32_segment) == 32, "System V ABI, figure 5-1");

struct elf64_segment {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct elf64_segment) == 56, "ELF-64 object file format, figure 6");

struct elf_note {
    uint32_t owner_size, content_size, type;
};

static const char magic[4] = { '\177', 'E', 'L', 'F' };

/* What is asked of each class. */
static const struct elf_rules {
    unsigned bits;
    enum elf_machine machine;
    uint32_t header_size, segment_size;
} rules_of[] = {
    [ELF_CLASS_32] = { 32, ELF_MACHINE_386, sizeof(struct elf32_header),
                       sizeof(struct elf32_segment) },
    [ELF_CLASS_64] = { 64, ELF_MACHINE_X86_64, sizeof(struct elf64_header),
                       sizeof(struct elf64_segment) },
};

bool elf_recognize(struct load_plan *plan)
{
    const uint8_t *start = plan_bytes(plan, 0, sizeof(magic));

    return start != NULL && memcmp(start, magic, sizeof(magic)) == 0;
}

static bool read_identification(struct load_plan *plan, struct elf_identification *id)
{
    const uint8_t *bytes = plan_bytes(plan, 0, sizeof(*id));
    const struct elf_rules *rules;

    if (bytes == NULL)
        return plan_refuse(plan, "ELF identification of %zu bytes is cut at the file's end (%lu)",
                           sizeof(*id), plan->request->size);
    memcpy(id, bytes, sizeof(*id));
    if (id->class != ELF_CLASS_32 && id->class != ELF_CLASS_64)
        return plan_refuse(plan, "ELF class at file offset 4 is %u, not 1 (32 bits) or 2 (64 bits)",
                           id->class);
    if (id->byte_order != ELF_LITTLE_ENDIAN)
        return plan_refuse(plan, "ELF byte order at file offset 5 is %u, not 1 (little endian)",
                           id->byte_order);
    if (id->version != ELF_CURRENT_VERSION)
        return plan_refuse(plan, "ELF version at file offset 6 is %u, not 1", id->version);
    rules = &rules_of[id->class];
    if (plan_bytes(plan, 0, rules->header_size) == NULL)
        return plan_refuse(plan, "ELF header of %u bytes is cut at the file's end (%lu)",
                           rules->header_size, plan->request->size);
    return true;
}

/* Reads the header, widened if it is of class 32; it has been found to be in the file. */
static void widen_header(const struct load_plan *plan, enum elf_class class,
                         struct elf64_header *header)
{
    struct elf32_header narrow;

    if (class == ELF_CLASS_64) {
        memcpy(header, plan->request->image, sizeof(*header));
        return;
    }
    memcpy(&narrow, plan->request->image, sizeof(narrow));
    *header = (struct elf64_header){
        .identification = narrow.identification,
        .type = narrow.type,
        .machine = narrow.machine,
        .version = narrow.version,
        .entry = narrow.entry,
        .phoff = narrow.phoff,
        .phentsize = narrow.phentsize,
        .phnum = narrow.phnum,
    };
}

static bool check_kind(struct load_plan *plan, const struct elf64_header *header,
                       const struct elf_rules *rules)
{
    if (header->type != ELF_TYPE_EXECUTABLE && header->type != ELF_TYPE_SHARED)
        return plan_refuse(plan,
                           "ELF type at file offset 16 is %u, not 2 (executable) or 3 (position "
                           "independent)",
                           header->type);
    if (header->machine != rules->machine)
        return plan_refuse(plan, "ELF machine at file offset 18 is %u, not %u (x86, %u bits)",
                           header->machine, rules->machine, rules->bits);
    if (header->version != ELF_CURRENT_VERSION)
        return plan_refuse(plan, "ELF version at file offset 20 is %u, not 1", header->version);
    return true;
}

static bool check_segment_table(struct load_plan *plan, const struct elf64_header *header,
                                const struct elf_rules *rules)
{
    uint64_t size = (uint64_t)header->phnum * rules->segment_size;

    if (header->phnum == 0)
        return plan_refuse(plan, "ELF file without program headers: there is nothing to load");
    if (header->phentsize != rules->segment_size)
        return plan_refuse(plan, "ELF program headers are of %u bytes each, not %u",
                           header->phentsize, rules->segment_size);
    if (plan_bytes(plan, header->phoff, size) == NULL)
        return plan_refuse(plan,
                           "ELF program headers: 0x%lx bytes at file offset 0x%lx end after the "
                           "file's end (0x%lx bytes)",
                           size, header->phoff, plan->request->size);
    return true;
}

static bool read_header(struct load_plan *plan, struct elf64_header *header)
{
    struct elf_identification id;

    if (!read_identification(plan, &id))
        return false;
    widen_header(plan, id.class, header);
    return check_kind(plan, header, &rules_of[id.class]) &&
           check_segment_table(plan, header, &rules_of[id.class]);
}

static uint64_t segment_offset(const struct elf64_header *header, unsigned index)
{
    return header->phoff + (uint64_t)index * header->phentsize;
}

/* Reads a program header, widened if it is of class 32; the table has been found in the file. */
static struct elf64_segment read_segment(const struct load_plan *plan,
                                         const struct elf64_header *header, unsigned index)
{
    const uint8_t *bytes = plan_bytes(plan, segment_offset(header, index), header->phentsize);
    struct elf32_segment narrow;
    struct elf64_segment segment;

    ASSERT(bytes != NULL);
    if (header->identification.class == ELF_CLASS_64) {
        memcpy(&segment, bytes, sizeof(segment));
        return segment;
    }
    memcpy(&narrow, bytes, sizeof(narrow));
    return (struct elf64_segment){
        .type = narrow.type,
        .offset = narrow.offset,
        .vaddr = narrow.vaddr,
        .paddr = narrow.paddr,
        .filesz = narrow.filesz,
        .memsz = narrow.memsz,
    };
}

static bool add_segment(struct load_plan *plan, const struct elf64_segment *segment,
                        const char *who)
{
    /* Of a segment that is all bss the offset means nothing, and may lie beyond the file's end. */
    uint64_t from = segment->filesz == 0 ? 0 : segment->offset;

    if (plan_bytes(plan, from, segment->filesz) == NULL)
        return plan_refuse(plan,
                           "%s: segment of 0x%lx bytes at file offset 0x%lx ends after the file's "
                           "end (0x%lx bytes)",
                           who, segment->filesz, segment->offset, plan->request->size);
    if (segment->filesz > segment->memsz)
        return plan_refuse(plan, "%s: segment has 0x%lx bytes in the file, but 0x%lx in memory",
                           who, segment->filesz, segment->memsz);
    if (segment->memsz == 0)
        return true;
    if (segment->paddr > UINT64_MAX - segment->memsz)
        return plan_refuse(plan,
                           "%s: segment of 0x%lx bytes at physical address 0x%lx ends after the "
                           "address space",
                           who, segment->memsz, segment->paddr);
    return plan_add_segment(plan,
                            (struct load_segment){
                                .from = from,
                                .filled = segment->filesz,
                                .to = gpa(segment->paddr),
                                .size = segment->memsz,
                                .virtual_base = segment->vaddr,
                            },
                            who);
}

bool elf_plan(struct load_plan *plan)
{
    struct elf64_header header;
    char who[64];

    if (!read_header(plan, &header))
        return false;
    plan->virtual_entry = header.entry;
    for (unsigned i = 0; i < header.phnum; i++) {
        struct elf64_segment segment = read_segment(plan, &header, i);

        if (segment.type != ELF_SEGMENT_LOAD)
            continue;
        format(who, sizeof(who), "ELF program header %u at file offset 0x%lx", i,
               segment_offset(&header, i));
        if (!add_segment(plan, &segment, who))
            return false;
    }
    if (plan->segment_count == 0)
        return plan_refuse(plan, "none of the ELF file's %u program headers is to be loaded",
                           header.phnum);
    return true;
}

bool elf_entry(struct load_plan *plan, uint32_t *entry)
{
    for (size_t i = 0; i < plan->segment_count; i++) {
        const struct load_segment *segment = &plan->segments[i];
        uint64_t into = plan->virtual_entry - segment->virtual_base;

        if (plan->virtual_entry < segment->virtual_base || into >= segment->size)
            continue;
        if (segment->to.v + into > UINT32_MAX)
            return plan_refuse(plan,
                               "ELF entry point 0x%lx lies at guest-physical address 0x%lx, not "
                               "below 4 GiB",
                               plan->virtual_entry, segment->to.v + into);
        *entry = (uint32_t)(segment->to.v + into);
        return true;
    }
    return plan_refuse(plan, "ELF entry point 0x%lx lies in no segment that is loaded",
                       plan->virtual_entry);
}

/* Size of the note at offset with its padding, or 0 if it is not wholly in the file. */
static uint64_t read_note(const struct load_plan *plan, uint64_t offset, struct elf_note *note)
{
    const uint8_t *bytes = plan_bytes(plan, offset, sizeof(*note));
    uint64_t size;

    if (bytes == NULL)
        return 0;
    memcpy(note, bytes, sizeof(*note));
    size = sizeof(*note) + align_up(note->owner_size, 4) + align_up(note->content_size, 4);
    return plan_bytes(plan, offset, size) == NULL ? 0 : size;
}

static bool segment_has_note(const struct load_plan *plan, const struct elf64_segment *segment,
                             const char *owner, uint32_t type)
{
    uint64_t owner_size = strlen(owner) + 1;
    uint64_t done = 0;

    if (plan_bytes(plan, segment->offset, segment->filesz) == NULL)
        return false;
    while (done < segment->filesz) {
        struct elf_note note;
        uint64_t size = read_note(plan, segment->offset + done, &note);
        const uint8_t *text;

        if (size == 0 || size > segment->filesz - done)
            return false;
        text = plan_bytes(plan, segment->offset + done + sizeof(note), note.owner_size);
        if (note.type == type && note.owner_size == owner_size &&
            memcmp(text, owner, owner_size) == 0)
            return true;
        done += size;
    }
    return false;
}

bool elf_has_note(struct load_plan *plan, const char *owner, uint32_t type)
{
    struct elf64_header header;

    if (!elf_recognize(plan) || !read_header(plan, &header))
        return false;
    for (unsigned i = 0; i < header.phnum; i++) {
        struct elf64_segment segment = read_segment(plan, &header, i);

        if (segment.type == ELF_SEGMENT_NOTE && segment_has_note(plan, &segment, owner, type))
            return true;
    }
    return false;
}
