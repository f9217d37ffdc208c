/* SPDX-License-Identifier: MIT */
/* The shadow page pool: see mm/pool.h. */
#include "mm/pool.h"
#include "arch/x86/pte.h"
#include "mm/host.h"

bool pool_init(struct pool *pool, struct frames *frames, uint64_t pages)
{
    *pool = (struct pool){ 0 };
    ASSERT(pages >= POOL_PAGES_MIN);
    if (!frames_alloc(frames, (struct frame_request){ pages, PAGE_SIZE, hpa(4 * GiB) },
                      &pool->base))
        return false;
    pool->pages = pages;
    for (uint64_t i = pages; i > 0; i--)
        pool_give(pool, hpa_add(pool->base, (i - 1) * PAGE_SIZE));
    return true;
}

void pool_destroy(struct pool *pool, struct frames *frames)
{
    if (pool->pages)
        frames_free(frames, pool->base, pool->pages);
    *pool = (struct pool){ 0 };
}

hpa_t pool_take(struct pool *pool, spte_t empty)
{
    hpa_t page = pool->first_free;
    uint64_t *words = host_ptr(page);

    ASSERT(pool->free_pages > 0);
    pool->first_free = hpa(words[0]);
    pool->free_pages--;
    for (unsigned i = 0; i < PTE_ENTRIES; i++)
        words[i] = empty.v;
    return page;
}

void pool_give(struct pool *pool, hpa_t page)
{
    uint64_t *words = host_ptr(page);

    ASSERT(page.v >= pool->base.v && page.v < pool->base.v + pool->pages * PAGE_SIZE);
    words[0] = pool->first_free.v;
    pool->first_free = page;
    pool->free_pages++;
}
