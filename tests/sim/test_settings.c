// Settings: what each source may say, and what becomes of it.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_prepare

#include "hw/pci_ids.h" // PCI_VENDOR_ID_XENSOURCE
#include "hw/pcidevice.h" // pci_device

#define DIR "/local/domain/7/vm-data/seabios/"

// Structures of SMBIOS.
static char table[8192];
static u32 table_len;

// Add a structure with `count` strings.
static void
structure(u8 type, const char *const *strings, int count)
{
    int i;
    char header[4] = { type, 5, 0, 0 };
    memcpy(table + table_len, header, 4);
    table[table_len + 4] = count;
    table_len += 5;
    for (i = 0; i < count; i++) {
        strcpy(table + table_len, strings[i]);
        table_len += strlen(strings[i]) + 1;
    }
    table[table_len++] = 0;
    if (!count)
        table[table_len++] = 0;
}

// Have these strings in SMBIOS, between other structures.
static void
smbios(const char *const *strings, int count)
{
    static const char *const others[] = { "seabios:etc/xen-pv=0", "", NULL };
    char *copy;
    table_len = 0;
    structure(0, others, 1);
    structure(3, NULL, 0);
    structure(11, strings, count);
    structure(127, NULL, 0);
    // a buffer of just that length, for the sanitizer
    copy = malloc(table_len);
    memcpy(copy, table, table_len);
    sim_prepare();
    xensettings_from_smbios(copy, table_len);
    free(copy);
}

#define SMBIOS(strings...) ({                           \
        static const char *const list[] = { strings };  \
        smbios(list, ARRAY_SIZE(list));                 \
    })

// A romfile as SeaBIOS reads it, or null.
static const char *
text(const char *name)
{
    sim_post = 1;
    return romfile_loadfile(name, NULL);
}

TEST(settings_without_any_source_are_seabios_own)
{
    sim_disk(51776);
    sim_boot();
    check_true(!xensettings_next(NULL));
    check_true(!sim_logged("setting"));
    check_equal(sim_boot_inits, 0);
}

TEST(setting_of_smbios_is_a_romfile_and_a_line)
{
    SMBIOS("other", "seabios:etc/boot-menu-wait=500", "seabios:etc/sercon-port=0x3Fa"
           , "seabios:etc/boot-menu-message=Press it = now", "io.systemd:a=b");
    check_equal(romfile_loadint("etc/boot-menu-wait", 1), 500);
    check_equal(romfile_loadint("etc/sercon-port", 1), 0x3fa);
    check_string(text("etc/boot-menu-message"), "Press it = now");
    check_equal(romfile_loadint("etc/xen-pv", 1), 1);
    check_true(sim_logged("xen: setting etc/boot-menu-wait by SMBIOS: 500\n"));
    check_true(sim_logged("xen: setting etc/sercon-port by SMBIOS: 0x3Fa\n"));
    check_true(sim_logged("xen: setting etc/boot-menu-message by SMBIOS: Press it = now\n"));
    check_true(!sim_logged("refused"));
}

// Whatever is cut off at the end of a table, nothing behind it is read.
static void
cut_table(int len)
{
    static const char *const strings[] = { "seabios:etc/xen-report=1", "x" };
    table_len = 0;
    structure(11, strings, 2);
    structure(11, NULL, 0);
    char *copy = malloc(len);
    memcpy(copy, table, len);
    sim_prepare();
    xensettings_from_smbios(copy, len);
    free(copy);
    check_equal(romfile_loadint("etc/xen-report", 0), len >= 31);
}

TEST(table_of_smbios_that_ends_anywhere_is_read_to_there)
{
    check_each(40, cut_table);
}

TEST(table_of_smbios_with_an_impossible_length_is_left_alone)
{
    static const char *const strings[] = { "seabios:etc/xen-report=1" };
    int len;
    sim_prepare();
    for (len = 0; len < 4; len++) {
        table_len = 0;
        structure(1, strings, 1);
        structure(11, strings, 1);
        table[1] = len;
        xensettings_from_smbios(table, table_len);
    }
    table[1] = 250;
    xensettings_from_smbios(table, table_len);
    check_true(!xensettings_next(NULL));
}

TEST(words_of_a_command_line_are_settings)
{
    sim_prepare();
    xensettings_from_cmdline("  root=/dev/x seabios:bootorder=xvdf,HALT  quiet"
                             " seabios:etc/show-boot-menu=0");
    check_string(text("bootorder"), "xvdf\nHALT");
    check_equal(romfile_loadint("etc/show-boot-menu", 1), 0);
    check_true(sim_logged("xen: setting bootorder by command line: xvdf,HALT\n"));
    xensettings_from_cmdline("");
    xensettings_from_cmdline(" ");
    xensettings_from_cmdline("seabios");
    check_true(!sim_logged("refused"));
}

TEST(nodes_of_the_store_are_settings_and_boot_c_reads_again_what_it_has_read)
{
    sim_prepare();
    store_write(DIR "etc/boot-fail-wait", "-1");
    store_write(DIR "etc/xen-cache-kib", "1024");
    store_write(DIR "bootorder", "xvdf");
    sim_boot();
    check_equal((int)romfile_loadint("etc/boot-fail-wait", 1), -1);
    check_equal(romfile_loadint("etc/xen-cache-kib", 1), 1024);
    check_string(text("bootorder"), "xvdf");
    check_equal(sim_boot_inits, 1);
    check_true(sim_logged("xen: setting etc/boot-fail-wait by xenstore: -1\n"));
    check_true(!sim_logged("refused"));
}

TEST(first_source_wins_and_the_second_is_told)
{
    SMBIOS("seabios:etc/xen-cache-kib=256", "seabios:etc/xen-cache-kib=128");
    store_write(DIR "etc/xen-cache-kib", "512");
    sim_boot();
    check_equal(romfile_loadint("etc/xen-cache-kib", 1), 256);
    check_true(sim_logged("etc/xen-cache-kib by SMBIOS is refused: it is set already"));
    check_true(sim_logged("etc/xen-cache-kib by xenstore is refused: it is set already"));
}

TEST(setting_of_the_guest_wins_over_the_blobs)
{
    sim_prepare();
    xensettings_from_blob("etc/show-boot-menu", "0", 1);
    xensettings_from_blob("etc/show-boot-menu", "1", 1);
    xensettings_from_blob("etc/xen-cache-kib", "256", 3);
    xensettings_from_blob("bootorder", "xvdf", 4);
    xensettings_from_cmdline("seabios:etc/show-boot-menu=2 seabios:etc/show-boot-menu=1");
    store_write(DIR "etc/xen-cache-kib", "512");
    sim_boot();
    check_equal(romfile_loadint("etc/show-boot-menu", 9), 2);
    check_equal(romfile_loadint("etc/xen-cache-kib", 1), 512);
    check_string(text("bootorder"), "xvdf");
    check_true(sim_logged("etc/show-boot-menu by blob is refused: it is set already"));
    check_true(sim_logged("etc/show-boot-menu by command line is refused: it is set already"));
}

static const struct {
    const char *setting, *why;
} bad[] = {
    { "etc/sdcard0=1", "unknown" }, { "vgaroms/x=1", "unknown" },
    { "pci5853,0001.rom=x", "unknown" }, { "etc/=1", "unknown" },
    { "=1", "unknown" }, { "xen-pv=1", "unknown" }, { "BOOTORDER=x", "unknown" },
    { "floppyimg/x=x", "unknown" }, { "bootsplash.jpg=x", "unknown" },
    { "etc/threads =1", "unknown" }, { "bootorder\n=1", "unknown" },
    { "etc/threads", "no value" }, { "etc/threads=", "no value" },
    { "bootorder=", "no value" },
    { "etc/threads=x", "not such a number" }, { "etc/threads=3", "not such a number" },
    { "etc/threads=-1", "not such a number" }, { "etc/threads= 1", "not such a number" },
    { "etc/threads=1 ", "not such a number" }, { "etc/threads=0x", "not such a number" },
    { "etc/threads=1x", "not such a number" }, { "etc/threads=+1", "not such a number" },
    { "etc/threads=0x100000001", "not such a number" },
    { "etc/sercon-port=3f8", "not such a number" },
    { "etc/sercon-port=0x3g8", "not such a number" },
    { "etc/sercon-port=0x3@8", "not such a number" },
    { "etc/sercon-port=0x3`8", "not such a number" },
    { "etc/boot-fail-wait=1a", "not such a number" },
    { "etc/sercon-port=0x10000", "not such a number" },
    { "etc/boot-fail-wait=4294967296", "not such a number" },
    { "etc/boot-fail-wait=18446744073709551617", "not such a number" },
    { "etc/boot-fail-wait=0x10000000000000001", "not such a number" },
    { "etc/boot-fail-wait=-2", "not such a number" },
    // a timer of half a day has run out at once
    { "etc/boot-fail-wait=43200000", "not such a number" },
    { "etc/boot-menu-wait=43200000", "not such a number" },
    { "etc/boot-menu-wait=-1", "not such a number" },
    { "etc/xen-cache-kib=8193", "not such a number" },
};

static void
refuse(int n)
{
    char line[128];
    const char *list[1] = { line };
    snprintf(line, sizeof(line), "seabios:%s", bad[n].setting);
    smbios(list, 1);
    snprintf(line, sizeof(line), "is refused: %s\n", bad[n].why);
    if (!sim_logged(line) || xensettings_next(NULL))
        fail("%s", bad[n].setting);
}

TEST(setting_that_is_none_is_refused_with_the_reason)
{
    check_each(ARRAY_SIZE(bad), refuse);
}

// Names and values around their bounds.
static void
long_texts(int n)
{
    char line[2000], *value;
    const char *list[1] = { line };
    static const int lengths[] = { 510, 511, 512, 1500 };
    static const int names[] = { 46, 47, 48, 200 };
    int len = lengths[n % 4], namelen = names[n % 4];
    if (n < 4) {
        strcpy(line, "seabios:etc/boot-menu-message=");
        value = line + strlen(line);
        memset(value, 'v', len);
        value[len] = 0;
        smbios(list, 1);
        if (len > XENSETTING_VALUE_MAX) {
            check_true(sim_logged("refused: too long"));
            check_true(!text("etc/boot-menu-message"));
        } else {
            check_string(text("etc/boot-menu-message"), value);
        }
        return;
    }
    strcpy(line, "seabios:");
    memset(line + 8, 'n', namelen);
    strcpy(line + 8 + namelen, "=1");
    smbios(list, 1);
    check_true(sim_logged("refused: unknown"));
}

TEST(texts_of_any_length_are_taken_or_refused)
{
    check_each(8, long_texts);
}

TEST(no_more_settings_are_looked_at_than_there_may_be)
{
    const char *list[100];
    int i;
    for (i = 0; i < 100; i++)
        list[i] = i == XENSETTINGS_MAX - 1 ? "seabios:etc/xen-report=1"
                  : i < XENSETTINGS_MAX ? "seabios:x=1" : "seabios:etc/xen-pv=0";
    smbios(list, 100);
    check_equal(romfile_loadint("etc/xen-report", 0), 1);
    check_equal(romfile_loadint("etc/xen-pv", 1), 1);
    check_true(sim_logged("xen: more than 32 settings, the rest is ignored\n"));
    // once
    char *first = strstr(sim_log, "more than");
    check_true(!strstr(first + 1, "more than"));
}

TEST(boot_order_has_a_name_in_each_line)
{
    SMBIOS("seabios:bootorder=xvdf, hdc vif0,/pci@i0cf8/ide@1,1/drive@0/disk@0 HALT");
    check_string(text("bootorder")
                 , "xvdf\n\nhdc\nvif0\n/pci@i0cf8/ide@1,1/drive@0/disk@0\nHALT");
}

TEST(setting_that_is_needed_before_the_store_is_open_is_refused_there)
{
    sim_prepare();
    store_write(DIR "etc/threads", "2");
    sim_boot();
    check_equal(romfile_loadint("etc/threads", 1), 1);
    check_true(sim_logged("etc/threads by xenstore is refused: too late"));
}

TEST(unknown_nodes_of_the_store_are_told)
{
    sim_prepare();
    store_write(DIR "etc/sdcard0", "1");
    store_write(DIR "threads", "1");
    store_write(DIR "etc/a-name-that-is-far-longer-than-any-name-of-a-setting", "1");
    store_write(DIR "etc/xen-cache-kib", "128");
    sim_boot();
    check_true(sim_logged("setting etc/sdcard0 by xenstore is refused: unknown\n"));
    check_true(sim_logged("setting threads by xenstore is refused: unknown\n"));
    check_true(sim_logged("setting etc/a-name-that-is-far-longer-than-any-name-of- by"));
    check_equal(romfile_loadint("etc/xen-cache-kib", 1), 128);
}

// So many nodes that their list does not fit into a reply.
static void
large_directory(int n)
{
    int i, count = n ? 400 : 200;
    sim_prepare();
    for (i = 0; i < count; i++)
        store_printf("1", n == 2 ? DIR "etc/any-node-%d" : DIR "any-node-%d", i);
    store_write(DIR "etc/xen-cache-kib", "128");
    store_write(DIR "etc/xen-report", "1");
    u64 begin = sim_now;
    sim_boot();
    // those in front of the list count
    check_equal(romfile_loadint("etc/xen-cache-kib", 1), n ? 128 : 1);
    check_true(sim_now - begin < 5 * SECOND);
}

TEST(directory_of_any_size_in_the_store_does_no_harm)
{
    check_each(3, large_directory);
}

TEST(value_of_any_size_in_the_store_does_no_harm)
{
    static char value[XENSTORE_PAYLOAD_MAX + 1];
    sim_prepare();
    memset(value, '1', XENSTORE_PAYLOAD_MAX);
    store_write(DIR "bootorder", value);
    store_write_bytes(DIR "etc/xen-cache-kib", "128\0garbage", 11);
    sim_boot();
    check_true(sim_logged("setting bootorder by xenstore is refused: too long"));
    check_equal(romfile_loadint("etc/xen-cache-kib", 1), 128);
}

static const char *const orders[] = {
    "xvdf,xvde", "xvde,xvdf", "xvdf", "xvdg xvdf xvde", "xvdz,xvdf", "HALT",
    ",,xvdf",
};

static void
order(int n)
{
    static const u32 first[] = { 51792, 51776, 51792, 51808, 51792, 51776, 51792 };
    struct backend *disks[] = { sim_disk(51776), sim_disk(51792), sim_disk(51808) };
    disks[2]->blank = 1;
    char line[64];
    const char *list[1] = { line };
    snprintf(line, sizeof(line), "seabios:bootorder=%s", orders[n]);
    smbios(list, 1);
    boot_init();
    sim_boot();
    sim_post = 1;
    xen_prepboot("Disk");
    sim_post = 0;
    int i;
    for (i = 0; i < 3; i++)
        if (disks[i]->vbd == first[n])
            check_true(sim_hard_disk(0) == sim_drive(disks[i]));
    check_equal(sim_logged("there is no xvdz"), n == 4);
    check_equal(sim_logged("there is no "), n == 4);
    sim_check_clean();
}

TEST(boot_order_goes_by_names_and_beats_the_boot_signature)
{
    check_each(ARRAY_SIZE(orders), order);
}

// Where one ROM is for all network devices, which there are is not the BIOS's to say.
static void
one_rom(int n)
{
    static struct pci_device xen = { .vendor = PCI_VENDOR_ID_XENSOURCE, .class = 0xff80 };
    static struct pci_device card = { .vendor = 0x8086, .class = PCI_CLASS_DISPLAY_VGA };
    SMBIOS("seabios:bootorder=vif0,vif1,xvde");
    boot_init();
    sim_boot();
    sim_post = 1;
    int prio = xen_rom_prio("/rom@genroms/ipxe.rom", n == 0 ? NULL : n == 1 ? &xen : &card);
    check_equal(prio, n < 2 ? 1 : -1);
    xen_prepboot("Network");
    check_equal(sim_logged("there is no vif0\n"), n == 2);
    check_equal(sim_logged("there is no vif1\n"), n == 2);
    check_true(sim_logged("there is no xvde\n"));
}

TEST(boot_order_may_name_any_network_device_where_one_rom_is_for_all)
{
    check_each(3, one_rom);
}

TEST(boot_order_is_also_that_of_a_twin_whose_pv_path_fails)
{
    struct backend *first = sim_disk(51712), *second = sim_disk(51728);
    second->connect_error = "no such file";
    struct twin *twin = sim_twin(second, DTYPE_ATA, 1);
    sim_twin(first, DTYPE_ATA, 0);
    SMBIOS("seabios:bootorder=xvdb,xvda");
    boot_init();
    sim_boot_unchecked();
    check_true(sim_hard_disk(0) == &twin->drive);
    sim_post = 1;
    xen_prepboot(NULL);
    check_true(!sim_logged("there is no "));
}

TEST(layer_that_is_switched_off_by_smbios_does_nothing)
{
    sim_disk(51776);
    SMBIOS("seabios:etc/xen-pv=0");
    sim_boot();
    check_equal(sim_drive_count, 0);
    check_equal(hv.hypercalls, 0);
    check_true(sim_logged("xen: switched off by etc/xen-pv\n"));
    sim_post = 1;
    xen_prepboot("Disk");
    check_equal(hv.hypercalls, 0);
}

TEST(layer_that_is_switched_off_by_the_store_finds_no_disk)
{
    sim_disk(51776);
    sim_prepare();
    store_write(DIR "etc/xen-pv", "0");
    sim_boot();
    check_equal(sim_drive_count, 0);
    check_true(sim_logged("xen: switched off by etc/xen-pv\n"));
    sim_check_clean();
}

TEST(cache_has_the_size_that_a_setting_says)
{
    sim_disk(51776);
    SMBIOS("seabios:etc/xen-cache-kib=512");
    u32 space = sim_high_space;
    sim_boot();
    check_true(space - sim_high_space < 1024 * 1024);
    check_true(space - sim_high_space > 512 * 1024);
}

// Report only where it is asked for, and never a second time.
static void
report(int n)
{
    sim_disk(51776);
    store.writable = "/local/domain/7/data";
    sim_prepare();
    store_write(store.writable, "");
    if (n)
        SMBIOS("seabios:etc/xen-report=1");
    sim_boot();
    sim_post = 1;
    xen_prepboot(n == 2 ? NULL : "Disk xvde");
    sim_check_clean();
    const char *boot = store_read("/local/domain/7/data/seabios/boot");
    if (n == 1)
        check_string(boot, "Disk xvde");
    else
        check_true(!boot);
    check_equal(!!store_read("/local/domain/7/data/seabios/version"), n > 0);
}

TEST(findings_are_reported_where_a_setting_asks_for_it)
{
    check_each(3, report);
}

TEST(what_is_wrong_with_a_disk_is_reported_where_its_device_is)
{
    struct backend *bad = sim_disk(51792), *small = sim_disk(51808);
    sim_disk(51776);
    bad->connect_error = "no such file";
    small->sectors = 100;
    store.writable = "/local/domain/7";
    SMBIOS("seabios:etc/xen-report=1");
    sim_boot_unchecked();
    sim_post = 1;
    xen_prepboot("Disk");
    check_string(store_read("/local/domain/7/error/device/vbd/51792/error")
                 , "backend does not connect (state 5)");
    check_string(store_read("/local/domain/7/error/device/vbd/51808/error")
                 , "too small, not even a cylinder");
    check_true(!store_read("/local/domain/7/error/device/vbd/51776/error"));
}
