// What dom0 asks of a guest that waits for a key: each second a look at
// "control/shutdown", in a session of its own.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // sim_boot
#include "control.h" // xen_control32
#include "hypercall.h" // xen_hypercall_page
#include "xenpv.h" // xen_shutdown32

#include <sys/mman.h>

#define NODE "/local/domain/7/control/shutdown"

// Programs' hooks of the timer are held (tick.c).
extern u8 XenTickHeld;

static struct backend *be;

static void
boot(void)
{
    be = sim_disk(51776);
    store.writable = "/local/domain/7/control";
    sim_prepare();
    store_write(NODE, "");
    sim_post_setup();
    sim_post = 0;
    sim_remember();
}

static u32
look(void)
{
    u32 seconds = xen_control32(0);
    sim_check_clean();
    check_equal(XenTickHeld, 0);
    return seconds;
}

static const char *const asked[] = {
    [SHUTDOWN_poweroff] = "poweroff", [SHUTDOWN_reboot] = "reboot",
    [SHUTDOWN_suspend] = "suspend",
};

static void
ask(int reason)
{
    boot();
    check_equal(look(), XENCONTROL_SOON_S);
    check_equal(hv.shutdowns, 0);
    store_write(NODE, asked[reason]);
    xen_control32(0);
    check_equal(hv.shutdowns, 1 << reason);
    check_string(store_read(NODE), "");
}

TEST(control_does_what_dom0_asks_for_and_says_so_in_the_node)
{
    check_each(ARRAY_SIZE(asked), ask);
}

TEST(control_ignores_what_it_does_not_know)
{
    boot();
    store_write(NODE, "dance");
    check_equal(look(), XENCONTROL_SOON_S);
    check_equal(hv.shutdowns, 0);
    check_string(store_read(NODE), "dance");
}

// Keys have to wait for each look.
TEST(control_looks_once_a_minute_where_xenstored_does_not_answer)
{
    boot();
    store.dead = 1;
    u64 begin = sim_now;
    check_equal(xen_control32(0), XENCONTROL_LATER_S);
    check_true(sim_now - begin < 6 * SECOND);
    store.dead = 0;
    sim_pass(SECOND);
    check_equal(look(), XENCONTROL_SOON_S);
}

// A hook of the timer that reads a disk is not called meanwhile (tick.c); one that
// comes in all the same does no harm.
static int nested;

static void
read_in_hook(void)
{
    check_true(XenTickHeld);
    if (!nested)
        nested = 1 + sim_read_unchecked(be, 7000, 4);
}

TEST(control_has_its_session_for_itself)
{
    boot();
    store.latency = 3 * MS;
    sim_tick = 1 * MS;
    sim_interrupt = read_in_hook;
    look();
    sim_interrupt = NULL;
    check_equal(nested, 1 + DISK_RET_ETIMEOUT);
    check_equal(sim_read(be, 7000, 4), 0);
}

// A panic may come before anybody has a hypercall page.
TEST(control_ends_a_domain_at_any_time)
{
    void *page = (void*)BUILD_AP_BOOT_ADDR;
    sim_start();
    xen_hypercall_page = 0;
    check_true(mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
                    | MAP_FIXED, -1, 0) == page);
    xen_shutdown32(SHUTDOWN_crash);
    check_equal(hv.shutdowns, 1 << SHUTDOWN_crash);
    xen_shutdown32(SHUTDOWN_reboot);
    check_equal(hv.shutdowns, 1 << SHUTDOWN_crash | 1 << SHUTDOWN_reboot);
}

TEST(control_ends_no_domain_where_there_is_no_xen)
{
    sim_xen = 0;
    sim_start();
    check_equal((int)xen_shutdown32(SHUTDOWN_crash), -1);
    check_equal(hv.shutdowns, 0);
}
