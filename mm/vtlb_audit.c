/* SPDX-License-Identifier: MIT */
/*
 * The auditor of the virtual TLB: invariants I1, I4, I5 and I6 of docs/shadow-mmu.md as far as one
 * can see them by looking at the tables at rest.
 */
#include "lib/log.h"
#include "mm/host.h"
#include "mm/vtlb.h"

struct audit {
    const struct vtlb *vtlb;
    vtlb_check_leaf *check;
    const void *context;
    uint64_t tables; /* reached from the root, the root too */
    uint64_t faults;
};

static void complain(struct audit *audit, const char *what, unsigned level, spte_t entry)
{
    audit->faults++;
    log_printf(LOG_ERROR, "audit: level %u entry 0x%lx: %s", level, entry.v, what);
}

static bool in_pool(const struct pool *pool, hpa_t page)
{
    return page.v >= pool->base.v && page.v < pool->base.v + pool->pages * PAGE_SIZE;
}

/* I6: what the processor cannot use is the empty constant and names no RAM. */
static void audit_unusable(struct audit *audit, unsigned level, spte_t entry, bool pae_root)
{
    uint64_t empty = pae_root ? 0 : audit->vtlb->empty.v;

    if (entry.v != empty)
        complain(audit, "unusable, but not the empty entry", level, entry);
}

static void audit_leaf(struct audit *audit, spte_t entry)
{
    const char *wrong = audit->check(audit->context, entry);

    if (wrong)
        complain(audit, wrong, 1, entry);
    if (!(entry.v & PTE_A) || !(entry.v & PTE_W) != !(entry.v & PTE_D))
        complain(audit, "A is not preset, or D is not preset with W", 1, entry);
}

/* Audits the table at page; returns the marks that the entry above must have. */
static uint64_t audit_table(struct audit *audit, hpa_t page, unsigned level, bool pae_root)
{
    const spte_t *entries = host_ptr(page);
    uint64_t marks = 0;

    audit->tables++;
    for (unsigned i = 0; i < (pae_root ? 4 : PTE_ENTRIES); i++) {
        spte_t entry = entries[i];
        uint64_t below;
        if (!spte_usable(entry)) {
            audit_unusable(audit, level, entry, pae_root);
            continue;
        }
        if (level == 1) {
            audit_leaf(audit, entry);
            marks |= (entry.v & SPTE_MARKS) | (entry.v & PTE_G ? SPTE_HAS_GLOBALS : 0);
            continue;
        }
        if (!in_pool(audit->vtlb->pool, spte_frame(entry))) {
            complain(audit, "table outside the pool", level, entry);
            continue;
        }
        if (pae_root && entry.v & ~(PTE_P | PTE_ADDRESS))
            complain(audit, "a PAE root entry has more than P and address", level, entry);
        below = audit_table(audit, spte_frame(entry), level - 1, false);
        if (!pae_root && below & ~entry.v)
            complain(audit, "a mark of what lies below is missing", level, entry);
        marks |= below;
    }
    return marks;
}

bool vtlb_audit(const struct vtlb *vtlb, vtlb_check_leaf *check, const void *context)
{
    struct audit audit = { vtlb, check, context, 0, 0 };
    bool pae = vtlb->format == SHADOW_PAE;

    audit_table(&audit, vtlb->root, pae ? 3 : 4, pae);
    if (audit.tables + vtlb->pool->free_pages != vtlb->pool->pages) {
        log_printf(LOG_ERROR, "audit: %lu tables in use, %lu free, of %lu", audit.tables,
                   vtlb->pool->free_pages, vtlb->pool->pages);
        audit.faults++;
    }
    return !audit.faults;
}
