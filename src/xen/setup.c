// Setting up the layer in POST: what all devices share, then each kind of device.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "blkprobe.h" // xenblk_setup
#include "config.h" // CONFIG_XEN_PV
#include "output.h" // ASSERT32FLAT
#include "platform.h" // xen_platform_init
#include "session.h" // xen_session_setup
#include "stacks.h" // wait_threads
#include "tick.h" // xentick_setup
#include "xenpv.h" // xen_setup
#include "xenstore.h" // xenstore_setup

// Sessions can be begun, and the store be opened in them.
static u8 is_ready;

void
xen_setup(void)
{
    ASSERT32FLAT();
    if (!CONFIG_XEN_PV)
        return;
    if (xen_platform_init())
        return;
    xentick_setup();
    is_ready = !xenstore_setup() && !xen_session_setup();
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
