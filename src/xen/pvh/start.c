// From Xen's start_info to the BIOS's information block.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include <stddef.h> // NULL
#include <stdint.h> // uint32_t
#include <xen/arch-x86/hvm/start_info.h> // struct hvm_start_info
#include "start.h" // start_make

// Conventional memory, where we write, and where SeaBIOS begins to work.
#define LOW_MEMORY 0xa0000

// The RSDP of ACPI 2.0 and later.
#define RSDP_SIZE 36

_Static_assert(sizeof(struct xenpvh_info) == 60, "packing");
_Static_assert(sizeof(struct start_e820) == 20, "packing");

// Say whether `size` bytes at `addr` can be read: below 4 GiB, and not where we
// write.
static int
readable(const struct start_low *low, uint64_t addr, uint32_t size)
{
    uint32_t begin = (uint32_t)(uintptr_t)low, end = begin + sizeof(*low);
    return addr && addr <= UINT32_MAX && addr + size <= UINT32_MAX
        && (addr + size <= begin || addr >= end);
}

// Copy the memory map. Returns what is wrong with it, or null.
static const char *
copy_map(struct start_low *low, const struct hvm_start_info *start)
{
    const struct hvm_memmap_table_entry *map = (void*)(uintptr_t)start->memmap_paddr;
    uint32_t i, j;
    int found = 0;
    if (!start->memmap_entries)
        return "start_info has no memory map";
    if (start->memmap_entries > XENPVH_E820_MAX)
        return "the memory map has too many entries";
    if (!readable(low, start->memmap_paddr, start->memmap_entries * sizeof(*map)))
        return "the memory map is out of reach";
    for (i = 0; i < start->memmap_entries; i++) {
        struct start_e820 *e = &low->e820[i];
        *e = (struct start_e820){ map[i].addr, map[i].size, map[i].type };
        if (e->start + e->size < e->start)
            return "an entry of the memory map ends nowhere";
        for (j = 0; j < i; j++)
            if (e->start < low->e820[j].start + low->e820[j].size
                && low->e820[j].start < e->start + e->size)
                return "entries of the memory map overlap";
        found |= e->type == XEN_HVM_MEMMAP_TYPE_RAM && !e->start
            && e->size >= LOW_MEMORY;
    }
    low->info.e820 = (uint32_t)(uintptr_t)low->e820;
    low->info.e820_nr = start->memmap_entries;
    return found ? NULL : "the memory map has no memory at 0";
}

// Copy the command line. Returns a remark, or null.
static const char *
copy_cmdline(struct start_low *low, uint64_t addr)
{
    const char *from = (void*)(uintptr_t)addr;
    uint32_t i = 0;
    low->info.cmdline = (uint32_t)(uintptr_t)low->cmdline;
    low->cmdline[0] = 0;
    if (!addr)
        return NULL;
    if (!readable(low, addr, XENPVH_CMDLINE_SIZE))
        return "the command line is out of reach, and ignored";
    while (i < XENPVH_CMDLINE_SIZE - 1 && from[i]) {
        low->cmdline[i] = from[i];
        i++;
    }
    low->cmdline[i] = 0;
    return from[i] ? "the command line is cut after 4095 bytes" : NULL;
}

// Copy where the first module is; if that cannot be read, it is nowhere.
static void
copy_module(struct start_low *low, const struct hvm_start_info *start)
{
    const struct hvm_modlist_entry *list = (void*)(uintptr_t)start->modlist_paddr;
    if (!start->nr_modules)
        return;
    low->info.module_size = -1;
    if (!readable(low, start->modlist_paddr, sizeof(*list)))
        return;
    low->info.module = list->paddr;
    low->info.module_size = list->size;
}

int
start_make(struct start_low *low, unsigned int addr, const char **note)
{
    const struct hvm_start_info *start = (void*)(uintptr_t)addr;
    *note = "start_info is out of reach";
    if (!readable(low, addr, sizeof(*start)))
        return -1;
    *note = "start_info is none";
    if (start->magic != XEN_HVM_START_MAGIC_VALUE)
        return -1;
    *note = "start_info is of version 0, without a memory map";
    if (start->version < 1)
        return -1;
    low->info = (struct xenpvh_info) {
        .signature = XENPVH_SIGNATURE, .length = sizeof(low->info),
    };
    *note = copy_map(low, start);
    if (*note)
        return -1;
    *note = "the RSDP is out of reach";
    if (start->rsdp_paddr && !readable(low, start->rsdp_paddr, RSDP_SIZE))
        return -1;
    low->tables[0] = start->rsdp_paddr;
    low->info.tables = (uint32_t)(uintptr_t)low->tables;
    low->info.tables_nr = !!start->rsdp_paddr; // none with acpi=0
    copy_module(low, start);
    *note = copy_cmdline(low, start->cmdline_paddr);
    return 0;
}

void
start_seal(struct xenpvh_info *info, unsigned int vgabios
           , unsigned int vgabios_size)
{
    uint32_t i;
    info->vgabios = vgabios;
    info->vgabios_size = vgabios_size;
    info->checksum = 0;
    for (i = 0; i < sizeof(*info); i++)
        if (i != offsetof(struct xenpvh_info, checksum))
            info->checksum -= ((uint8_t*)info)[i];
}
