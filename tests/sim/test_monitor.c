// The Xen monitor: keys, lines, and what each command shows. At each key that it waits
// for no trace may be there (machine.c).
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_keys

// Run POST with two disks, the second one with a twin.
static struct backend *disks[2];

static void
boot(void)
{
    disks[0] = sim_disk(51776);
    disks[1] = sim_disk(51728);
    sim_twin(disks[1], DTYPE_ATA, 1);
    sim_boot();
    sim_post = 1;
    check_true(xen_can_show_menu());
}

// Type lines at the prompt, and go on with booting.
static void
type(const char *keys)
{
    static char all[4096];
    snprintf(all, sizeof(all), "%sboot\n", keys);
    sim_keys = all;
    sim_clear_log();
    xen_monitor();
    check_equal(*sim_keys, 0);
    sim_check_clean();
}

// Fail if a text is not in what was shown.
#define check_shown(text) do {                                  \
        if (!sim_logged(text))                                  \
            fail("\"%s\" is not in:\n%s", text, sim_log);       \
    } while (0)

TEST(monitor_edits_a_line)
{
    boot();
    store_write("/x/abc", "right");
    type("\1get /x/abd\bc\n");
    check_shown("\nright\n");
    type("more\x15get /x/abc\n");
    check_shown("xen> more\b \b\b \b\b \b\b \bget /x/abc\nright\n");
    type("get /x/a" "\x1b" "bc\n\b\b\bver\n");
    check_shown("\nright\n");
    check_shown("Xen 4.17\n");
    type("  ver\n");
    check_shown("Xen 4.17\n");
    store_write("/x/28", "keypad");
    type("get /x/28\n");
    check_shown("\nkeypad\n");
}

TEST(monitor_remembers_eight_lines)
{
    int i;
    char keys[600] = "";
    boot();
    for (i = 0; i < 11; i++)
        sprintf(keys + strlen(keys), "get /x/%c\n", 'a' + i);
    store_write("/x/d", "the eighth");
    store_write("/x/k", "the last");
    // up more often than there are lines; then down beyond the last
    strcat(keys, "\2\2\2\2\2\2\2\2\2\2\n");
    type(keys);
    check_shown("xen> get /x/k\nthe last\n");
    char *end = strstr(sim_log, "the last\n");
    check_true(strstr(end, "get /x/d\nthe eighth\n") != NULL);
    type("\2\3\3\3ver\n");
    check_shown("Xen 4.17\n");
    type("get /x/d\nget /x/k\n\2\2\3\n\2\2\n");
    check_shown("the last\n");
    type("ver\nget /x/d\n\2\2\n");
    end = strstr(sim_log, "the eighth\n");
    check_true(strstr(end, "Xen 4.17\n") != NULL);
}

TEST(monitor_takes_no_more_of_a_line_than_it_has_room_for)
{
    char keys[400];
    boot();
    memset(keys, 'x', sizeof(keys));
    strcpy(keys + 300, "\n");
    type(keys);
    check_shown("? help lists all commands\n");
    // and all of it can be taken back
    memset(keys, 'x', 300);
    memset(keys + 200, '\b', 100);
    strcpy(keys + 300, "ver\n");
    type(keys);
    check_shown("Xen 4.17\n");
}

TEST(monitor_shows_a_page_at_a_time)
{
    int i;
    boot();
    for (i = 0; i < 60; i++)
        store_printf("value", "/x/node%02d", i);
    type("ls /x\n  ");
    check_shown("node59 = value\n");
    char *more = strstr(sim_log, "-- more --");
    check_true(more && strstr(more + 1, "-- more --"));
    check_true(!strstr(strstr(more + 1, "-- more --") + 1, "-- more --"));
    type("ls /x\nq");
    check_true(!sim_logged("node23 ="));
    type("ls /x\n\x1b");
    check_true(!sim_logged("node23 ="));
}

TEST(monitor_reads_writes_and_removes_nodes_where_it_may)
{
    boot();
    store.writable = "/local/domain/7/data";
    store_write(store.writable, "");
    store_write("/local/domain/7/data/old", "1");
    type("set data/new a b  c\nget data/new\nrm data/old\nls data\nget nothing\n"
         "ls /local/domain/0\nls data/\nset data/a.b 1\n");
    check_string(store_read("/local/domain/7/data/new"), "a b  c");
    check_true(!store_read("/local/domain/7/data/old"));
    check_shown("get data/new\na b  c\n");
    check_shown("new = a b  c\nxen> ");
    check_shown("nothing: ENOENT\n");
    check_shown("/local/domain/0: EACCES\n");
    check_shown("data/: EINVAL\n");
    check_shown("data/a.b: EINVAL\n");
}

TEST(monitor_shows_the_guests_own_directory_first)
{
    boot();
    store_write("/local/domain/7/domid", "7");
    store_write("/local/domain/7/name", "a name that is longer than what there is room for here");
    type("ls\n");
    check_shown("name = a name that is longer than what there is room f");
}

static int
ignore(struct store_request *request)
{
    return STORE_IGNORE;
}

TEST(monitor_says_where_the_store_does_not_answer)
{
    boot();
    store.hook = ignore;
    type("get data\n");
    check_shown("data: no answer\n");
}

TEST(monitor_shows_each_disk)
{
    struct backend *cd = sim_disk(51792), *bad = sim_disk(51808);
    cd->type = "cdrom";
    cd->info = VDISK_CDROM | VDISK_READONLY;
    bad->connect_error = "no such file";
    bad->domid = 3;
    boot();
    store_write("/local/domain/7/error/device/vbd/51808/error", "2 opening it");
    type("disks\n");
    check_shown("xvde: 51776, blkback in domain 0, states 1 2, used by PV\n"
                "  128 MiB, sectors of 512 bytes, read-write; indirect 256, flush 1, barrier 0");
    check_shown("xvdb: 51728, blkback in domain 0, states 1 2, read by PV, written by its"
                " emulated twin\n");
    check_shown("xvdf: 51792, ");
    check_shown("read-only, CD;");
    check_shown("xvdg: 51808, blkback in domain 3, states 1 2, not used\n"
                "  backend does not connect (state 5)\n  backend says: 2 opening it\n");
    check_true(!disks[0]->writes && !disks[1]->writes);
}

TEST(monitor_reads_a_block_and_tells_what_it_costs)
{
    boot();
    type("read xvde 0x10\n read xvde 5x\nread xvdz\nread xvde 99999999\nspeed xvde\n"
         "speed xvdb\nread\n");
    check_shown("xen> read xvde 0x10\n000: ");
    check_shown("5x is no number\n");
    check_shown("there is no xvdz\n");
    check_shown("xvde has no block 99999999\n");
    check_shown("8192 KiB in ");
    u8 sector[512];
    char line[64];
    image_truth(disks[0], 0x10, sector);
    snprintf(line, sizeof(line), "000: %02x %02x %02x", sector[0], sector[1], sector[2]);
    check_shown(line);
    check_true(!disks[0]->writes && !disks[1]->writes);
    check_true(disks[1]->twin->writes == 0);
}

TEST(monitor_reads_the_last_block_and_none_behind_it)
{
    char keys[64], line[64];
    boot();
    // a key goes on behind a page
    snprintf(keys, sizeof(keys), "read xvde %u\n ", (u32)disks[0]->sectors - 1);
    type(keys);
    check_shown("000: ");
    snprintf(keys, sizeof(keys), "read xvde %u\n", (u32)disks[0]->sectors);
    type(keys);
    snprintf(line, sizeof(line), "xvde has no block %u\n", (u32)disks[0]->sectors);
    check_shown(line);
}

TEST(monitor_tells_attaches_and_requests_exactly)
{
    char line[64];
    boot();
    u32 connects = disks[0]->connects, requests = disks[0]->requests;
    type("speed xvde\n");
    snprintf(line, sizeof(line), " MiB/s, %u attaches, %u requests\n"
             , disks[0]->connects - connects, disks[0]->requests - requests);
    check_shown(line);
}

TEST(monitor_shows_ports_grants_parameters_and_settings)
{
    boot();
    hv.ports[SIM_PORTS - 1].state = PORT_XEN;
    hv.grants[3] = (grant_entry_v1_t){ GTF_permit_access, 5, 0x1234 };
    sim_remember();
    xensettings_from_cmdline("seabios:etc/xen-cache-kib=512");
    type("ports\ngrants\nhvm\nsettings\n");
    char line[64];
    snprintf(line, sizeof(line), "%u: interdomain, domain 0, port ", hv.store_port);
    check_shown(line);
    snprintf(line, sizeof(line), "%u: Xen's own\n", SIM_PORTS - 1);
    check_shown(line);
    check_shown("3: flags 1, domain 5, frame 0x1234\n");
    snprintf(line, sizeof(line), "2: 0x%x, store port\n", hv.store_port);
    check_shown(line);
    check_shown("etc/xen-cache-kib by command line: 512\n");
}

TEST(monitor_shows_the_memory_map)
{
    extern struct e820entry { u64 start, size; u32 type; } e820_list[];
    extern int e820_count;
    boot();
    e820_list[0] = (struct e820entry){ 0, 0xa0000, 1 };
    e820_list[1] = (struct e820entry){ 0xfc000000, 0x1000, 4 };
    e820_list[2] = (struct e820entry){ 0x100000000ULL, 0x80000000, 77 };
    e820_count = 3;
    type("map\n");
    check_shown("0000000000000000-000000000009ffff RAM\n"
                "00000000fc000000-00000000fc000fff NVS\n"
                "0000000100000000-000000017fffffff ?\n");
}

TEST(monitor_has_help_for_each_command)
{
    boot();
    type("help\nhelp speed\n");
    check_shown("\nspeed DISK: read 8 MiB\n");
    check_shown("xen> help speed\nspeed DISK: read 8 MiB\nxen> ");
}

TEST(monitor_ends_the_domain_with_the_reason_that_is_asked_for)
{
    boot();
    type("reboot\n");
    check_equal(hv.shutdowns, 1 << SHUTDOWN_reboot);
    type("off\n");
    check_equal(hv.shutdowns, 1 << SHUTDOWN_reboot | 1 << SHUTDOWN_poweroff);
    type("crash\n");
    check_equal(hv.shutdowns, 1 << SHUTDOWN_reboot | 1 << SHUTDOWN_poweroff
                | 1 << SHUTDOWN_crash);
}

// POST has 20 s for its devices; what a user does at the prompt is no part of that.
TEST(monitor_may_be_used_for_longer_than_post_waits)
{
    static char keys[2000];
    struct backend *be = sim_disk(51776);
    be->latency = be->io_latency = 20 * MS;
    be->sectors = 1 << 20;
    sim_boot();
    sim_post = 1;
    while (strlen(keys) < 60 * 11)
        strcat(keys, "speed xvde\n");
    u64 begin = sim_now;
    type(keys);
    check_true(sim_now - begin > 40 * SECOND);
    check_true(!sim_logged("failed") && !sim_logged("in time"));
}

// A full screen waits for a key without a session.
static void
list_nodes(void)
{
    int i;
    boot();
    for (i = 0; i < 60; i++)
        store_printf("value", "/x/node%02d", i);
}

// What is shown next was read before: dom0 is asked for something meanwhile.
TEST(monitor_shows_what_it_has_read_behind_a_full_screen)
{
    list_nodes();
    store_write("/local/domain/7/control/shutdown", "");
    type("ls /x\n  ");
    int i;
    for (i = 0; i < 60; i++) {
        char row[32];
        sprintf(row, "node%02d = value\n", i);
        check_shown(row);
    }
}

static int
fail_marker(u32 nr, u32 op, void *arg, int *ret)
{
    if (nr != __HYPERVISOR_event_channel_op || op != EVTCHNOP_alloc_unbound
        || !sim_logged("-- more --"))
        return 0;
    *ret = -XEN_ENOSPC;
    return 1;
}

TEST(monitor_goes_on_with_a_list_only_in_a_new_session)
{
    list_nodes();
    hv.hook = fail_marker;
    type("ls /x\n ");
    check_shown("node22 = value\n");
    check_shown("xenstore cannot be used\n");
    check_true(!sim_logged("node23"));
}

TEST(monitor_asks_nothing_of_the_store_once_a_list_is_cut)
{
    int i;
    for (i = 0; i < 13; i++)
        sim_disk(51776 + i * 16);
    sim_boot();
    sim_post = 1;
    type("disks\nq");
    check_shown("-- more --");
    check_true(!sim_logged("xvdq: "));
}

// The domain is saved and restored at each hypercall of a session of commands.
static u32 moves_at, calls;

static void
move(void)
{
    if (++calls == moves_at)
        hv_move(hv.domid + 1);
}

static void
move_at(int n)
{
    boot();
    moves_at = 1 + n * 3;
    sim_step = move;
    store_write("/x/a", "first");
    type("get /x/a\ndisks\nspeed xvde\nget /x/a\n");
    sim_step = NULL;
    type("get /x/a\nspeed xvde\n");
    check_shown("first\n");
}

TEST(monitor_goes_on_in_a_domain_that_has_moved)
{
    check_each(60, move_at);
}

TEST(monitor_is_not_offered_without_xen_or_where_it_is_switched_off)
{
    check_true(!xen_can_show_menu());
    sim_prepare();
    xensettings_from_cmdline("seabios:etc/xen-pv=0");
    sim_post_setup();
    check_true(!xen_can_show_menu());
}
