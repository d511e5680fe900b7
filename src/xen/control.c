// What dom0 asks of a domain: shut down, reboot, suspend (docs/misc/
// xenstore-paths.pandoc, "~/control/shutdown"). An OS answers it; while a PVH
// guest waits for a key in the BIOS, or through it, nobody else does.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "config.h" // CONFIG_XEN_PVH
#include "control.h" // XENCONTROL_LATER_S
#include "date.h" // xendate_setup
#include "output.h" // dprintf
#include "platform.h" // xen_info
#include "session.h" // xen_session_is_possible
#include "string.h" // strcmp
#include "tick.h" // xentick_hold
#include "xenpv.h" // xen_control_again
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

// Take a request out of the store. Returns SHUTDOWN_*, or NOTHING, or NO_ANSWER.
#define NOTHING   (-1)
#define NO_ANSWER (-2)
static int
take_request(void)
{
    int i;
    const char *asked;
    u32 id = xenstore_send(XS_READ, "control", "shutdown", NULL);
    if (xenstore_receive(id, &asked) < 0)
        return *asked ? NOTHING : NO_ANSWER;
    for (i = 0; i < ARRAY_SIZE(shutdowns); i++)
        if (!strcmp(asked, shutdowns[i].name)) {
            // dom0 waits until the node is empty
            struct xenstore_node_s answer = { "shutdown", "" };
            return xenstore_update("control", &answer, 1)
                   ? NO_ANSWER : shutdowns[i].reason;
        }
    return NOTHING;
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
        return XENCONTROL_SOON_S;
    int reason = NO_ANSWER;
    xentick_hold(1);
    if (!xenstore_open()) {
        reason = take_request();
        xenstore_close();
    }
    xentick_hold(0);
    if (reason < 0)
        return reason == NOTHING ? XENCONTROL_SOON_S : XENCONTROL_LATER_S;
    dprintf(1, "xen: dom0 asks for %s\n", reason == SHUTDOWN_suspend ? "suspend"
            : reason == SHUTDOWN_reboot ? "reboot" : "poweroff");
    xen_shutdown32(reason);
    // after a suspend, in a new domain perhaps: its pages, and the time there
    xendate_setup();
    return XENCONTROL_SOON_S;
}
