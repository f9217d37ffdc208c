/* SPDX-License-Identifier: MIT */
/* The symbol table: sorted by address, one row a function. */
#include "vmm/symbols.h"
#include "mm/layout.h"

/* As tools/symtab.py writes it, to a section of its own. */
struct symbol {
    uint32_t address; /* from IMAGE_BASE */
    uint32_t name;    /* offset into symbol_names */
};

extern const uint32_t symbol_count;
extern const struct symbol symbol_table[];
extern const char symbol_names[];
extern const char text_start[], text_end[];

const char *symbol_name(uint64_t address, uint64_t *offset)
{
    uint64_t low = 0, high = symbol_count;

    if (address < (uint64_t)text_start || address >= (uint64_t)text_end)
        return NULL;
    while (high - low > 1) {
        uint64_t middle = (low + high) / 2;
        if (IMAGE_BASE + symbol_table[middle].address <= address)
            low = middle;
        else
            high = middle;
    }
    if (!symbol_count || IMAGE_BASE + symbol_table[low].address > address)
        return NULL;
    *offset = address - IMAGE_BASE - symbol_table[low].address;
    return &symbol_names[symbol_table[low].name];
}
