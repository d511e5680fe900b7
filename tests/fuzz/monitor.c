// Fuzz target: keys at the prompt of the Xen monitor.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "input.h" // input_byte

void
fuzz(void)
{
    // Enter ends whatever is shown or written, and the last line goes on
    static char keys[1000 + 64];
    static const char last[] = "\n\n\n\n\n\n\n\n\nboot\n";
    u32 len = 0;
    sim_disk(51776);
    sim_disk(51728);
    sim_prepare();
    store.writable = "/local/domain/7/data";
    store_write("/local/domain/7/data/a", "");
    sim_boot_unchecked();
    sim_post = 1;
    while (input_len)
        if ((keys[len] = input_byte()))
            len++;
    memcpy(keys + len, last, sizeof(last));
    sim_keys = keys;
    xen_monitor();
    // nobody has written to a disk
    check_equal(backends[0]->writes + backends[1]->writes, 0);
}
