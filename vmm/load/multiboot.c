/* SPDX-License-Identifier: MIT */
/*
 * The header search of both multiboot versions: step through the first bytes of the file, aligned,
 * for a magic number after which a fixed number of words adds up to 0. A magic number without that
 * is no header by the specifications; it is looked for only to explain a refusal.
 */
#include "vmm/load/multiboot.h"

/* The header at offset, or NULL where it would not be wholly inside limit and file. */
static const uint8_t *header_at(const struct load_plan *plan,
                                const struct multiboot_version *version, uint64_t offset)
{
    uint64_t size = version->words * sizeof(uint32_t);

    return offset + size <= version->limit ? plan_bytes(plan, offset, size) : NULL;
}

static uint32_t sum(const uint8_t *header, uint32_t words)
{
    uint32_t total = 0;

    for (uint32_t i = 0; i < words; i++)
        total += le32_at(header + i * sizeof(uint32_t));
    return total;
}

bool multiboot_find(const struct load_plan *plan, const struct multiboot_version *version,
                    uint64_t *offset)
{
    const uint8_t *header;

    for (uint64_t at = 0; (header = header_at(plan, version, at)); at += version->alignment)
        if (le32_at(header) == version->magic && sum(header, version->words) == 0) {
            *offset = at;
            return true;
        }
    return false;
}

static bool find_magic(const struct load_plan *plan, const struct multiboot_version *version,
                       uint64_t *offset)
{
    for (uint64_t at = 0; at + sizeof(uint32_t) <= version->limit; at += version->alignment) {
        const uint8_t *word = plan_bytes(plan, at, sizeof(uint32_t));

        if (word != NULL && le32_at(word) == version->magic) {
            *offset = at;
            return true;
        }
    }
    return false;
}

bool multiboot_resembles(const struct load_plan *plan, const struct multiboot_version *version)
{
    uint64_t offset;

    return find_magic(plan, version, &offset);
}

bool multiboot_explain(struct load_plan *plan, const struct multiboot_version *version)
{
    const uint8_t *header;
    uint64_t offset;

    ASSERT(find_magic(plan, version, &offset));
    header = header_at(plan, version, offset);
    if (header == NULL)
        return plan_refuse(plan,
                           "multiboot %u header at file offset 0x%lx is not wholly within the "
                           "file's first %lu bytes",
                           version->number, offset, min_u64(version->limit, plan->request->size));
    return plan_refuse(plan,
                       "multiboot %u header at file offset 0x%lx has a wrong checksum: its first "
                       "%u words add up to 0x%x, not to 0",
                       version->number, offset, version->words, sum(header, version->words));
}

/* End of the RAM that begins at from, or from itself if there is none. */
static uint64_t end_of_ram(const struct load_request *request, uint64_t from)
{
    for (size_t i = 0; i < request->range_count; i++) {
        const struct guest_memory_range *range = &request->ranges[i];
        uint64_t end = range->base.v + range->size;

        if (range->kind == GUEST_RAM && range->base.v <= from && end > from)
            from = end;
    }
    return from;
}

uint32_t multiboot_lower_memory(const struct load_request *request)
{
    return (uint32_t)(min_u64(end_of_ram(request, 0), 640 * KiB) / KiB);
}

uint32_t multiboot_upper_memory(const struct load_request *request)
{
    return (uint32_t)min_u64((end_of_ram(request, MiB) - MiB) / KiB, UINT32_MAX);
}
