// Tests of pvh/start.c: what the PVH entry makes of Xen's start_info, good or bad.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "check.h" // TEST

#include <xen/arch-x86/hvm/start_info.h>
#include "pvh/start.h" // start_make

#define RAM XEN_HVM_MEMMAP_TYPE_RAM

// What Xen 4.17 gives a guest of 256 MiB.
static struct hvm_memmap_table_entry map[XENPVH_E820_MAX + 1] = {
    { 0, 0x10000000, RAM }, { 0xfeff8000, 0x8000, XEN_HVM_MEMMAP_TYPE_RESERVED },
    { 0xfc008000, 0x40, XEN_HVM_MEMMAP_TYPE_ACPI },
    { 0xfc000000, 0x1000, XEN_HVM_MEMMAP_TYPE_ACPI },
    { 0xfc001000, 0x7000, XEN_HVM_MEMMAP_TYPE_NVS },
};
static char cmdline[2 * XENPVH_CMDLINE_SIZE] = "etc/boot-menu-wait=1 x=y";
static struct hvm_start_info start = {
    .magic = XEN_HVM_START_MAGIC_VALUE, .version = 1, .rsdp_paddr = 0xfc008000,
    .memmap_entries = 5,
};
static struct start_low low;

// Returns what start_make() returns, and its message in *note.
static int
make(const char **note)
{
    if (!start.memmap_paddr)
        start.memmap_paddr = (uintptr_t)map;
    return start_make(&low, (uintptr_t)&start, note);
}

static void
check_refused(const char *why)
{
    const char *note;
    check_equal(make(&note), -1);
    check_string(note, why);
}

TEST(pvh_start_info_of_xen_becomes_the_block_that_seabios_looks_for)
{
    const char *note;
    uint32_t i;
    uint8_t sum = 0;
    start.cmdline_paddr = (uintptr_t)cmdline;
    check_equal(make(&note), 0);
    check_true(!note);
    start_seal(&low.info, 0xc1000, 0x8000);
    check_memory(&low, "XenHVMSeaBIOS", 14);
    check_equal(low.info.length, sizeof(low.info));
    for (i = 0; i < sizeof(low.info); i++)
        sum += ((uint8_t*)&low.info)[i];
    check_equal(sum, 0);
    check_equal(low.info.tables_nr, 1);
    check_equal(*(uint32_t*)(uintptr_t)low.info.tables, 0xfc008000);
    check_equal(low.info.e820_nr, 5);
    struct start_e820 *e820 = (void*)(uintptr_t)low.info.e820;
    for (i = 0; i < 5; i++) {
        check_equal(e820[i].start, map[i].addr);
        check_equal(e820[i].size, map[i].size);
        check_equal(e820[i].type, map[i].type);
    }
    check_string((char*)(uintptr_t)low.info.cmdline, "etc/boot-menu-wait=1 x=y");
    check_equal(low.info.vgabios, 0xc1000);
    check_equal(low.info.vgabios_size, 0x8000);
}

TEST(pvh_block_has_room_below_the_stack)
{
    check_true(XENPVH_INFO_ADDR + sizeof(low) <= 0x6000);
    check_true(sizeof(low.info) <= 255);
}

TEST(pvh_no_command_line_and_no_acpi_are_no_errors)
{
    const char *note;
    start.rsdp_paddr = 0;
    check_equal(make(&note), 0);
    check_true(!note);
    check_equal(low.info.tables_nr, 0);
    check_string((char*)(uintptr_t)low.info.cmdline, "");
}

TEST(pvh_memory_above_4_gib_is_in_the_map)
{
    const char *note;
    map[start.memmap_entries++] = (struct hvm_memmap_table_entry)
        { 1ULL << 32, 1ULL << 31, RAM };
    check_equal(make(&note), 0);
    check_equal(low.e820[5].start, 1ULL << 32);
    check_equal(low.e820[5].size, 1ULL << 31);
}

TEST(pvh_wrong_magic_is_refused)
{
    start.magic++;
    check_refused("start_info is none");
}

TEST(pvh_version_0_is_refused)
{
    start.version = 0;
    check_refused("start_info is of version 0, without a memory map");
}

TEST(pvh_start_info_where_we_write_is_refused)
{
    const char *note;
    check_equal(start_make(&low, (uintptr_t)&low + sizeof(low) - 1, &note), -1);
    check_string(note, "start_info is out of reach");
    check_equal(start_make(&low, 0, &note), -1);
    check_equal(start_make(&low, 0xfffffff0, &note), -1);
    check_string(note, "start_info is out of reach");
}

TEST(pvh_no_memory_map_is_refused)
{
    start.memmap_entries = 0;
    check_refused("start_info has no memory map");
}

TEST(pvh_too_many_entries_are_refused)
{
    start.memmap_entries = XENPVH_E820_MAX + 1;
    check_refused("the memory map has too many entries");
    start.memmap_entries = 0xffffffff;
    check_refused("the memory map has too many entries");
}

TEST(pvh_as_many_entries_as_fit_are_taken)
{
    const char *note;
    for (; start.memmap_entries < XENPVH_E820_MAX; start.memmap_entries++)
        map[start.memmap_entries] = (struct hvm_memmap_table_entry)
            { (1ULL << 33) + (start.memmap_entries << 12), 4096, RAM };
    check_equal(make(&note), 0);
    check_equal(low.info.e820_nr, XENPVH_E820_MAX);
}

TEST(pvh_memory_map_out_of_reach_is_refused)
{
    static const uint64_t places[] = {
        1ULL << 32, 0xffffffff, ~0ULL, ~0ULL - 119, 0xffffffc0,
    };
    uint32_t i;
    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        start.memmap_paddr = places[i];
        check_refused("the memory map is out of reach");
    }
    start.memmap_paddr = (uintptr_t)&low.e820;
    check_refused("the memory map is out of reach");
}

TEST(pvh_entry_that_wraps_is_refused)
{
    map[1].addr = ~0ULL - 4095;
    map[1].size = 8192;
    check_refused("an entry of the memory map ends nowhere");
}

TEST(pvh_entries_that_overlap_are_refused)
{
    map[1].addr = map[0].size - 1;
    check_refused("entries of the memory map overlap");
}

TEST(pvh_map_without_low_memory_is_refused)
{
    map[0].addr = 0x1000;
    check_refused("the memory map has no memory at 0");
    map[0].addr = 0;
    map[0].size = 0x9f000;
    check_refused("the memory map has no memory at 0");
    map[0].size = 0x10000000;
    map[0].type = XEN_HVM_MEMMAP_TYPE_RESERVED;
    check_refused("the memory map has no memory at 0");
}

TEST(pvh_rsdp_out_of_reach_is_refused)
{
    start.rsdp_paddr = 0xfffffff0;
    check_refused("the RSDP is out of reach");
    start.rsdp_paddr = 1ULL << 32;
    check_refused("the RSDP is out of reach");
    start.rsdp_paddr = (uintptr_t)&low;
    check_refused("the RSDP is out of reach");
}

TEST(pvh_first_module_is_named)
{
    static struct hvm_modlist_entry list[2] = {{ 0x200000, 74752 }, { 1, 2 }};
    const char *note;
    check_equal(make(&note), 0);
    check_equal(low.info.module, 0);
    check_equal(low.info.module_size, 0);
    start.nr_modules = 2;
    start.modlist_paddr = (uintptr_t)list;
    check_equal(make(&note), 0);
    check_equal(low.info.module, 0x200000);
    check_equal(low.info.module_size, 74752);
}

TEST(pvh_module_that_nobody_can_read_is_nowhere)
{
    static const uint64_t places[] = { 0, 1ULL << 32, 0xfffffff0 };
    const char *note;
    uint32_t i;
    start.nr_modules = 1;
    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        start.modlist_paddr = places[i];
        check_equal(make(&note), 0);
        check_true(!note);
        check_equal(low.info.module, 0);
        check_equal(low.info.module_size, ~0ULL);
    }
    start.modlist_paddr = (uintptr_t)&low;
    check_equal(make(&note), 0);
    check_equal(low.info.module_size, ~0ULL);
}

TEST(pvh_long_command_line_is_cut_with_a_remark)
{
    const char *note;
    start.cmdline_paddr = (uintptr_t)cmdline;
    memset(cmdline, 'x', XENPVH_CMDLINE_SIZE - 1);
    check_equal(make(&note), 0);
    check_true(!note);
    check_equal(strlen(low.cmdline), XENPVH_CMDLINE_SIZE - 1);
    // one more, and one without an end
    cmdline[XENPVH_CMDLINE_SIZE - 1] = 'x';
    check_equal(make(&note), 0);
    check_string(note, "the command line is cut after 4095 bytes");
    memset(cmdline, 'x', sizeof(cmdline));
    check_equal(make(&note), 0);
    check_string(note, "the command line is cut after 4095 bytes");
    check_equal(strlen(low.cmdline), XENPVH_CMDLINE_SIZE - 1);
}

TEST(pvh_command_line_out_of_reach_is_ignored_with_a_remark)
{
    const char *note;
    start.cmdline_paddr = 0xfffff801;
    check_equal(make(&note), 0);
    check_string(note, "the command line is out of reach, and ignored");
    check_string(low.cmdline, "");
    start.cmdline_paddr = 1ULL << 40;
    check_equal(make(&note), 0);
    check_string(low.cmdline, "");
}
