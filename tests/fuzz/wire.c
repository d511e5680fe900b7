// Fuzz target: what xenstored sends, byte for byte.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "input.h" // input_byte

#include <sys/mman.h>

// Replies are the input's bytes: some with a proper header, some without.
static int
answer(struct store_request *request)
{
    static char text[XENSTORE_PAYLOAD_MAX + 16];
    u8 how = input_byte();
    if (how < 128)
        return STORE_NORMAL;
    store.faults++;
    u32 len = input_text(text, XENSTORE_PAYLOAD_MAX);
    struct xsd_sockmsg msg = {
        how & 1 ? XS_ERROR : request->msg.type, request->msg.req_id
        , request->msg.tx_id, len,
    };
    if (how & 2)
        msg.type = input_byte();
    if (how & 4)
        msg.req_id += input_byte();
    if (how & 8)
        msg.len = input_number(how & 64 ? 4 : 2);
    if (!(how & 16))
        store_raw(&msg, sizeof(msg));
    store_raw(text, len);
    if (how & 32)
        return STORE_NORMAL;
    return STORE_IGNORE;
}

void
fuzz(void)
{
    int i;
    // what the layer believes of the backend may be false
    sim_disk(51776)->mislabelled = 1;
    store.index = input_number(4);
    store.split = input_byte();
    store.hook = answer;
    sim_boot_unchecked();
    for (i = 0; i < 3 && sim_drive_count; i++) {
        struct disk_op_s op = {
            .drive_fl = sim_drives[0].drive, .command = CMD_READ,
            .lba = 900 * i, .count = 8,
        };
        static u8 buf[8 * 2048];
        op.buf_fl = buf;
        process_op(&op);
    }
    if (sim_now > 2000 * SECOND)
        fail("it took %llu s", sim_now / SECOND);
}
