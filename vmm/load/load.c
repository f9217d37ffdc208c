/* SPDX-License-Identifier: MIT */
/*
 * Which kind of kernel an image is, by one table that is tried in order. An image may be several
 * things at once: a Linux kernel with "HdrS" is also an EFI program, a multiboot kernel may carry a
 * PVH note, and both are ELF. The row that knows the image best comes first. The last rows know
 * what the image is not, and say so.
 */
#include "vmm/load/elf.h"
#include "vmm/load/multiboot1.h"
#include "vmm/load/multiboot2.h"
#include "lib/format.h"
#include "lib/string.h"

#define LINUX_MAGIC_OFFSET 0x202 /* Linux Documentation/x86/boot.rst, "header" */
#define LINUX_MAGIC        "HdrS"

#define PVH_NOTE_OWNER "Xen" /* Xen docs/misc/pvh.pandoc */
#define PVH_NOTE_TYPE  18    /* XEN_ELFNOTE_PHYS32_ENTRY */

#define FIRST_BYTES 8 /* shown of an image that nobody knows */

static bool linux_recognize(struct load_plan *plan)
{
    const uint8_t *bytes = plan_bytes(plan, LINUX_MAGIC_OFFSET, strlen(LINUX_MAGIC));

    return bytes != NULL && memcmp(bytes, LINUX_MAGIC, strlen(LINUX_MAGIC)) == 0;
}

static bool linux_load(struct load_plan *plan, struct start_state *start)
{
    (void)start;
    return plan_refuse(plan, "Linux bzImage (\"HdrS\" at file offset 0x%x) is not handled yet",
                       LINUX_MAGIC_OFFSET);
}

static bool pvh_recognize(struct load_plan *plan)
{
    return elf_has_note(plan, PVH_NOTE_OWNER, PVH_NOTE_TYPE);
}

static bool pvh_load(struct load_plan *plan, struct start_state *start)
{
    (void)start;
    return plan_refuse(plan,
                       "PVH kernel (ELF note %d of \"%s\", no multiboot header) is not handled yet",
                       PVH_NOTE_TYPE, PVH_NOTE_OWNER);
}

static bool elf_explain(struct load_plan *plan, struct start_state *start)
{
    (void)start;
    return plan_refuse(plan,
                       "ELF file without a multiboot header: there is neither 0x1badb002 "
                       "(multiboot 1) in its first 8192 bytes, 4-byte aligned, nor 0xe85250d6 "
                       "(multiboot 2) in its first 32768, 8-byte aligned");
}

static bool unknown_recognize(struct load_plan *plan)
{
    (void)plan;
    return true;
}

static bool unknown_explain(struct load_plan *plan, struct start_state *start)
{
    uint64_t count = min_u64(plan->request->size, FIRST_BYTES);
    const uint8_t *bytes = plan_bytes(plan, 0, count);
    char text[FIRST_BYTES * 3 + 1] = "";

    (void)start;
    if (count == 0)
        return plan_refuse(plan, "the image is empty");
    for (uint64_t i = 0; i < count; i++)
        format(text + i * 3, sizeof(text) - i * 3, " %02x", bytes[i]);
    return plan_refuse(plan,
                       "image of unknown kind, its first bytes are%s; accepted are ELF kernels, 32 "
                       "or 64 bits, with a multiboot 1 or 2 header",
                       text);
}

static const struct image_kind {
    bool (*recognize)(struct load_plan *plan);
    bool (*load)(struct load_plan *plan, struct start_state *start);
} image_kinds[] = {
    { linux_recognize, linux_load },
    { multiboot2_recognize, multiboot2_load },
    { multiboot1_recognize, multiboot1_load },
    { pvh_recognize, pvh_load },
    { multiboot2_resembles, multiboot2_explain },
    { multiboot1_resembles, multiboot1_explain },
    { elf_recognize, elf_explain },
    { unknown_recognize, unknown_explain },
};

bool load_guest(const struct load_request *request, const struct gpm *gpm,
                struct start_state *start, char *error)
{
    struct load_plan plan = { .request = request, .gpm = gpm, .error = error };
    const struct image_kind *kind = image_kinds;

    while (!kind->recognize(&plan))
        kind++;
    return kind->load(&plan, start);
}
