// What dom0 asks of a domain: shut down, reboot, suspend (docs/misc/
// xenstore-paths.pandoc, "~/control/shutdown"). An OS answers it; while a PVH
// guest waits for a key in the BIOS, or through it, nobody else does.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "config.h" // CONFIG_XEN_PVH
#include "output.h" // dprintf
#include "platform.h" // xen_info
#include "session.h" // xen_session_is_possible
#include "string.h" // strcmp
#include "xenpv.h" // xen_control32
#include "xenstore.h" // xenstore_open

static const struct { const char *name; u32 reason; } shutdowns[] = {
    { "poweroff", SHUTDOWN_poweroff }, { "halt", SHUTDOWN_poweroff },
    { "reboot", SHUTDOWN_reboot }, { "suspend", SHUTDOWN_suspend },
};

// Say whether shared_info is where we have mapped it: memory that is not there reads as
// all ones.
static int
can_see_info(void)
{
    return ~xen_read_once(xen_info->vcpu_info[0].time.tsc_to_system_mul) != 0;
}

// Take a request out of the store. Returns SHUTDOWN_*, or -1.
static int
take_request(void)
{
    int i;
    const char *asked = xenstore_read("control", "shutdown");
    for (i = 0; asked && i < ARRAY_SIZE(shutdowns); i++)
        if (!strcmp(asked, shutdowns[i].name)) {
            // dom0 waits until the node is empty
            struct xenstore_node_s answer = { "shutdown", "" };
            return xenstore_update("control", &answer, 1)
                   ? -1 : shutdowns[i].reason;
        }
    return -1;
}

void
xen_control_again(void)
{
    ASSERT32FLAT();
    if (CONFIG_XEN_PVH && xen_session_is_possible() && !can_see_info())
        xen_platform_map_page(XENMAPSPACE_shared_info, xen_info);
}

u32 VISIBLE32FLAT
xen_control32(u32 unused)
{
    // a program that has mapped shared_info for itself answers for itself
    if (!CONFIG_XEN_PVH || !xen_session_is_possible() || !can_see_info())
        return 0;
    if (xenstore_open())
        return 0;
    int reason = take_request();
    xenstore_close();
    if (reason < 0)
        return 0;
    dprintf(1, "xen: dom0 asks for %s\n", reason == SHUTDOWN_suspend ? "suspend"
            : reason == SHUTDOWN_reboot ? "reboot" : "poweroff");
    xen_shutdown32(reason);
    // after a suspend, in a new domain perhaps
    xen_platform_map_page(XENMAPSPACE_shared_info, xen_info);
    return 0;
}
