// Setting up the layer in POST: what all devices share, then each kind of device.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "blkprobe.h" // xenblk_setup
#include "config.h" // CONFIG_XEN_PV
#include "output.h" // ASSERT32FLAT
#include "platform.h" // xen_platform_init
#include "romfile.h" // romfile_loadint
#include "session.h" // xen_session_setup
#include "settings.h" // xensettings_from_store
#include "stacks.h" // wait_threads
#include "tick.h" // xentick_setup
#include "util.h" // VERSION
#include "xenpv.h" // xen_setup
#include "xenstore.h" // xenstore_setup

// Sessions can be begun, and the store be opened in them.
static u8 is_ready;

// Say whether the settings read so far let the layer be.
static int
is_switched_off(void)
{
    if (romfile_loadint("etc/xen-pv", 1))
        return 0;
    dprintf(1, "xen: switched off by etc/xen-pv\n");
    return 1;
}

// Read the settings in the store, and have SeaBIOS read again what it has read
// before them. Tried again in a domain that has moved meanwhile.
static void
read_store(void)
{
    int tries, found = -1;
    for (tries = 0; found < 0 && tries < MOVES_MAX && !xenstore_open(); tries++) {
        found = xensettings_from_store();
        xenstore_close();
    }
    if (found > 0)
        boot_init();
}

void
xen_setup(void)
{
    ASSERT32FLAT();
    // a PVH guest needs its clock in any case
    if (!CONFIG_XEN_PV || (!CONFIG_XEN_PVH && is_switched_off())
        || xen_platform_init())
        return;
    xentick_setup();
    // sessions last: where one can begin, all that it needs is there
    if ((CONFIG_XEN_PVH && is_switched_off())
        || xenstore_setup() || xen_session_setup())
        return;
    read_store();
    is_ready = !is_switched_off();
}

void
xen_block_setup(void)
{
    ASSERT32FLAT();
    if (CONFIG_XEN_PV && is_ready)
        xenblk_setup();
}

void
xen_block_register(void)
{
    ASSERT32FLAT();
    if (!CONFIG_XEN_PV || !is_ready)
        return;
    // the emulated disks are detected in threads
    wait_threads();
    xenblk_register();
}

// Tell the toolstack what POST has found. That is a trace, so it has to be asked for.
static void
report(const char *first)
{
    struct xenstore_node_s nodes[] = {
        { "version", VERSION }, { "boot", first },
    };
    if (!is_ready || !romfile_loadint("etc/xen-report", 0) || xenstore_open())
        return;
    xenstore_update("data/seabios", nodes, first ? 2 : 1);
    xenblk_report();
    xenstore_close();
}

void
xen_prepboot(const char *first)
{
    ASSERT32FLAT();
    if (!CONFIG_XEN_PV)
        return;
    xensettings_check_order();
    report(first);
}

int
xen_can_show_menu(void)
{
    return CONFIG_XEN_PV_MONITOR && is_ready;
}
