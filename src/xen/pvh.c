// A PVH guest: what a machine without a device model needs before its devices.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "config.h" // CONFIG_XEN_PVH
#include "e820map.h" // e820_add
#include "fw/paravirt.h" // runningOnXen
#include "malloc.h" // malloc_tmphigh
#include "memmap.h" // PAGE_SIZE
#include "output.h" // warn_noalloc
#include "platform.h" // xen_tsc_khz
#include "pvh/info.h" // struct xenpvh_info
#include "romfile.h" // romfile_add
#include "settings.h" // xensettings_from_cmdline
#include "std/optionrom.h" // struct rom_header
#include "string.h" // memcpy
#include "util.h" // tsctimer_setfreq
#include "xenpv.h" // xenpvh_setup

u8 XenPciIsThere VARFSEG;

// The file of the domain's module, an option ROM.
#define MODULE_ROM "genroms/module.rom"

// A file in memory.
struct memfile_s {
    struct romfile_s file;
    void *data;
};

static int
memfile_copy(struct romfile_s *file, void *dest, u32 maxlen)
{
    struct memfile_s *mem = container_of(file, struct memfile_s, file);
    if (file->size > maxlen)
        return -1;
    memcpy(dest, mem->data, file->size);
    return file->size;
}

// Make a file of `size` bytes at `data`, which may be overwritten soon.
static void
memfile_add(const char *name, const void *data, u32 size)
{
    struct memfile_s *mem = malloc_tmphigh(sizeof(*mem));
    void *copy = malloc_tmphigh(size);
    if (!mem || !copy) {
        warn_noalloc();
        return;
    }
    memset(mem, 0, sizeof(*mem));
    memcpy(copy, data, size);
    mem->data = copy;
    mem->file.size = size;
    mem->file.copy = memfile_copy;
    strtcpy(mem->file.name, name, sizeof(mem->file.name));
    romfile_add(&mem->file);
}

// Make an option ROM of the module that the toolstack has given (ramdisk=): libxl puts
// it behind the first MiB, far from the end of memory, where ours is allocated.
static void
module_add(u64 addr, u64 size)
{
    if (!addr && !size)
        return;
    struct rom_header *rom = (void*)(u32)addr;
    if (addr < BUILD_BIOS_ADDR + BUILD_BIOS_SIZE || addr >> 32 || size >> 32
        || addr + size > (1ULL << 32) || size < sizeof(*rom)
        || rom->signature != OPTION_ROM_SIGNATURE || !rom->size
        || rom->size * 512 > size) {
        dprintf(1, "xen: the module of the domain (ramdisk=) is no option ROM,"
                " and ignored\n");
        return;
    }
    memfile_add(MODULE_ROM, rom, rom->size * 512);
    XenPciIsThere = 1;
}

void
xenpvh_setup(void)
{
    struct xenpvh_info *info = (void*)XENPVH_INFO_ADDR;
    if (!CONFIG_XEN_PVH || !runningOnXen() || info->length < sizeof(*info))
        return;
    // before SeaBIOS measures by a timer that there is not
    tsctimer_setfreq(xen_tsc_khz(), "Xen");
    // nobody else is to put anything there
    e820_add(XEN_GUEST_WINDOW, XEN_MAPPED_PAGES * PAGE_SIZE, E820_RESERVED);
    // int10: the memory at B8000 is plain RAM
    memfile_add("vgaroms/vgabios.bin", (void*)info->vgabios, info->vgabios_size);
    module_add(info->module, info->module_size);
    xensettings_from_cmdline((void*)info->cmdline);
}
