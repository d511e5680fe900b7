// The PV console's ring, and a daemon that takes the output, or does not.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "sim.h" // hv
#include "terminal.h" // xenterm_send32
#include "xenpv.h" // xenterm_setup

extern u8 XenTermOut[64], XenTermOutLen;
extern u32 XenTermSequence;

#define IN_SIZE 1024

static struct xencons_interface *ring;
static u32 notified;
static u64 pause_ns;            // the daemon takes the output after so long
static int is_fast;             // it has done so before the notification returns
static char got[1 << 16];       // what it has taken
static u32 got_len;

static void
take(void *arg)
{
    while (ring->out_cons != ring->out_prod)
        got[got_len++] = ring->out[ring->out_cons++ % XENCONS_SIZE];
}

static void
notify(void *arg)
{
    notified++;
    if (is_fast)
        take(NULL);
    else if (pause_ns)
        sim_at(sim_now + pause_ns, take, NULL);
}

// A domain with a console whose indices begin at `start`.
static void
boot_with_console(u32 start)
{
    static int booted;
    ring = aligned_alloc(4096, 4096);
    memset(ring, 0, 4096);
    ring->in_cons = ring->in_prod = ring->out_cons = ring->out_prod = start;
    hv.console_pfn = (u32)ring / 4096;
    notified = got_len = pause_ns = is_fast = 0;
    if (!booted)
        sim_boot();
    booted = 1;
    sim_tick = 0;
    hv.ports[hv.console_port].notified = notify;
}

// Bytes that tell their place.
static void
fill(char *data, u32 from, u32 size)
{
    u32 i;
    for (i = 0; i < size; i++)
        data[i] = (from + i) * 7 + ((from + i) >> 8);
}

// Put all of it, as the layer does; returns how much the console took.
static u32
put_all(const char *data, u32 size)
{
    u32 done = 0;
    do
        done += xencons_put(data + done, size - done, NULL);
    while (done < size && !xencons_wait(1));
    return done;
}

TEST(console_is_there_only_if_the_domain_has_one)
{
    boot_with_console(0);
    hv.console_pfn = 0;
    check_true(!xencons_is_there());
    boot_with_console(0);
    check_true(xencons_is_there());
    hv.console_pfn = 1 << 20;           // not below 4 GiB
    check_true(!xencons_is_there());
    check_equal(xencons_put("x", 1, NULL), 0);
    check_equal(xencons_room(), 0);
    check_equal(xencons_peek(got, 1), 0);
    check_equal(xencons_wait(1), -1);
}

TEST(console_output_of_any_length_arrives_in_order_wherever_the_ring_wraps)
{
    static char data[5000], want[5000];
    static const u32 starts[] = { 0, 1, 2047, 0xfffff801, 0xffffffff };
    u32 i, size;
    for (i = 0; i < ARRAY_SIZE(starts); i++)
        for (size = 1; size <= sizeof(data); size = size * 3 + 1) {
            boot_with_console(starts[i]);
            pause_ns = 3 * MS;
            fill(data, i, size);
            memcpy(want, data, size);
            check_equal(put_all(data, size), size);
            check_equal(notified, DIV_ROUND_UP(size, XENCONS_SIZE));
            sim_sleep(0, sim_now + 10 * MS);
            check_equal(got_len, size);
            check_memory(got, want, size);
        }
    sim_check_clean();
}

TEST(console_that_fits_costs_one_notification_and_no_wait)
{
    char data[XENCONS_SIZE];
    u32 end;
    boot_with_console(100);
    fill(data, 0, sizeof(data));
    hv.yields = 0;
    check_equal(xencons_room(), XENCONS_SIZE);
    check_equal(xencons_put(data, sizeof(data), &end), XENCONS_SIZE);
    check_equal(notified, 1);
    check_equal(hv.yields, 0);
    check_equal(end, 100 + XENCONS_SIZE);
    check_equal(xencons_end(), end);
    check_equal(xencons_room(), 0);
    // nothing is put, and nobody told
    check_equal(xencons_put(data, 1, &end), 0);
    check_equal(notified, 1);
}

// Where it runs before the guest goes on, nothing is to be waited for.
TEST(console_whose_daemon_is_fast_costs_no_time)
{
    static char data[20 * XENCONS_SIZE];
    boot_with_console(0xfffffff0);
    is_fast = 1;
    fill(data, 0, sizeof(data));
    u64 begin = sim_now;
    check_equal(put_all(data, sizeof(data)), sizeof(data));
    check_true(sim_now - begin < MS);
    check_memory(got, data, sizeof(data));
}

// A wait ends when there is as much room as it is for.
TEST(console_wait_is_for_room)
{
    char data[XENCONS_SIZE];
    boot_with_console(0);
    check_equal(xencons_put(data, sizeof(data), NULL), sizeof(data));
    ring->out_cons += 99;
    check_equal(xencons_wait(99), 0);
    check_equal(xencons_wait(100), -1);
    ring->out_cons++;
    check_equal(xencons_wait(100), 0);
}

// The first wait takes 250 ms, and all others nothing, until the daemon goes on.
TEST(console_whose_daemon_is_stopped_costs_250_ms_once)
{
    char data[3 * XENCONS_SIZE];
    u32 i;
    boot_with_console(0);
    fill(data, 0, sizeof(data));
    u64 begin = sim_now;
    check_equal(put_all(data, sizeof(data)), XENCONS_SIZE);
    u64 first = sim_now - begin;
    if (first < 250 * MS || first > 250 * MS + 21 * MS)
        fail("the wait took %llu us", first / US);
    begin = sim_now;
    for (i = 0; i < 1000; i++)
        check_equal(put_all(data, 100), 0);
    check_true(sim_now - begin < 10 * MS);
    take(NULL);
    check_equal(got_len, XENCONS_SIZE);
    check_memory(got, data, XENCONS_SIZE);
    pause_ns = MS;
    check_equal(put_all(data, sizeof(data)), sizeof(data));
    // and the next time it is waited for again
    pause_ns = 0;
    sim_sleep(0, sim_now + 10 * MS);
    begin = sim_now;
    put_all(data, sizeof(data));
    check_true(sim_now - begin >= 250 * MS);
}

// It moves its index all the time, to places that cannot be: what the layer writes has
// an end.
static void
spoil(void *arg)
{
    ring->out_cons = ring->out_prod + 1 + sim_now % 1000;
    sim_at(sim_now + MS, spoil, NULL);
}

TEST(console_whose_daemon_moves_its_index_to_nowhere_is_given_up)
{
    boot_with_console(0);
    spoil(NULL);
    u64 begin = sim_now;
    memset(XenTermOut, 'x', sizeof(XenTermOut));
    XenTermOutLen = sizeof(XenTermOut);
    xenterm_send32(0);
    check_true(sim_now - begin < SECOND);
    check_equal(XenTermOutLen, 0);
}

// What sercon has written, and how a terminal is left to an OS.
TEST(console_of_a_hvm_guest_is_left_as_an_os_expects_it)
{
    boot_with_console(0);
    is_fast = 1;
    memcpy(XenTermOut, "text", 4);
    XenTermOutLen = 4;
    sercon_attr_last = 0x1f;
    xenterm_send32(1);
    check_equal(got_len, 13);
    check_memory(got, "text\e[0m\e[?7h", 13);
    check_equal(sercon_attr_last, 0x07);
}

// A HVM guest whose setting is `value`, with a console or without.
static void
boot_with_setting(const char *value, int has_console)
{
    sim_prepare();
    if (value)
        store_write("/local/domain/7/vm-data/seabios/etc/xen-console", value);
    boot_with_console(0);
    is_fast = 1;
    if (!has_console)
        hv.console_pfn = 0;
}

TEST(console_is_sercons_line_if_that_is_set)
{
    boot_with_setting("1", 1);
    check_equal(xenterm_setup(0), XENTERM_PORT);
    check_equal(xenterm_setup(XENTERM_PORT), XENTERM_PORT);
    check_true(!sim_logged("sercon-port"));
    check_equal(xenterm_setup(0x3f8), XENTERM_PORT);
    check_true(sim_logged("xen: etc/sercon-port is not used, the PV console is\n"));
}

static const struct {
    const char *value;
    int has_console;
} unused[] = { { NULL, 1 }, { "0", 1 }, { "1", 0 } };

static void
leave_console(int i)
{
    boot_with_setting(unused[i].value, unused[i].has_console);
    check_equal(xenterm_setup(0), 0);
    check_equal(xenterm_setup(XENTERM_PORT), 0);
    check_equal(xenterm_setup(0x3f8), 0x3f8);
    check_true(!sim_logged("the PV console"));
    xenterm_flush();
    check_equal(notified, 0);
}

TEST(console_is_left_alone_if_it_is_not_set_or_not_there)
{
    check_each(ARRAY_SIZE(unused), leave_console);
}

// Many characters are one notification; a terminal that nothing was sent to is not
// touched when an OS takes over.
TEST(console_of_a_hvm_guest_gets_what_sercon_writes)
{
    int i;
    boot_with_setting("1", 1);
    xenterm_setup(0);
    xenterm_flush();
    check_equal(got_len, 0);
    for (i = 0; i < sizeof(XenTermOut); i++) {
        check_equal(got_len, 0);
        xenterm_putchar('0' + i);
    }
    check_equal(got_len, sizeof(XenTermOut));
    check_equal(notified, 1);
    xenterm_putchar('x');
    check_equal(got_len, sizeof(XenTermOut));
    check_true(xenterm_event());
    check_equal(got_len, sizeof(XenTermOut) + 1);
    check_equal(got[0], '0');
    check_equal(got[sizeof(XenTermOut)], 'x');
    xenterm_event();
    check_equal(notified, 2);
    xenterm_flush();
    check_equal(got_len, sizeof(XenTermOut) + 1 + 9);
    xenterm_flush();
    check_equal(got_len, sizeof(XenTermOut) + 1 + 9);
}

// Sercon is told that no more comes when 50 ms have passed since the ESC: a sequence
// comes at once.
TEST(console_esc_alone_is_a_key)
{
    boot_with_setting("1", 1);
    xenterm_setup(0);
    check_true(xenterm_event());
    XenTermSequence = sim_tsc() | 1;
    check_true(xenterm_event());
    sim_pass(48 * MS);
    check_true(xenterm_event());
    sim_pass(4 * MS);
    check_true(!xenterm_event());
    xenterm_take(1);
    check_true(xenterm_event());
}

// Between a look at the ring and the change of an index the domain is restored.
TEST(console_index_of_another_ring_is_not_moved)
{
    char data[4];
    boot_with_console(1000);
    memcpy(ring->in + 1000, "keys", 4);
    ring->in_prod += 4;
    check_equal(xencons_peek(data, 4), 4);
    boot_with_console(0);
    xencons_consume(4);
    check_equal(ring->in_cons, 0);
    check_equal(notified, 0);
}

// Not one byte outside of the ring, and not one inside, is touched.
TEST(console_with_impossible_indices_is_left_alone)
{
    static const u32 wrong[] = { 2049, 4096, 0x7fffffff, 0x80000000, 0xffffffff };
    char data[16] = "0123456789abcde", before[4096], in[16];
    u32 i;
    for (i = 0; i < ARRAY_SIZE(wrong); i++) {
        boot_with_console(5);
        ring->out_prod = ring->out_cons + wrong[i];
        ring->in_prod = ring->in_cons + wrong[i];
        memcpy(before, ring, sizeof(before));
        check_equal(xencons_room(), 0);
        check_equal(put_all(data, sizeof(data)), 0);
        check_equal(xencons_peek(in, sizeof(in)), 0);
        check_memory(ring, before, sizeof(before));
        check_equal(notified, 0);
    }
    // the input's ring is half as large
    ring->in_prod = ring->in_cons + IN_SIZE + 1;
    check_equal(xencons_peek(in, sizeof(in)), 0);
    ring->in_prod = ring->in_cons + IN_SIZE;
    check_equal(xencons_peek(in, sizeof(in)), sizeof(in));
}

TEST(console_input_stays_until_it_is_taken)
{
    static const u32 starts[] = { 0, 1020, 0xfffffffe };
    u32 i, j, size;
    for (i = 0; i < ARRAY_SIZE(starts); i++) {
        char data[8];
        boot_with_console(starts[i]);
        for (j = 0; j < 20; j++)
            ring->in[ring->in_prod++ % IN_SIZE] = 'a' + j;
        memset(data, CANARY, sizeof(data));
        check_equal(xencons_peek(data, 5), 5);
        check_memory(data, "abcde\xc5\xc5\xc5", 8);
        check_equal(ring->in_cons, starts[i]);
        check_equal(notified, 0);
        xencons_consume(3);
        check_equal(notified, 1);
        check_equal(ring->in_cons, starts[i] + 3);
        for (j = 3; (size = xencons_peek(data, 8)); j += size) {
            check_equal(data[0], 'a' + (int)j);
            xencons_consume(size);
        }
        check_equal(j, 20);
        check_equal(ring->in_cons, ring->in_prod);
    }
    sim_check_clean();
}

// Another domain's ring, at another place and with another port, after a restore.
TEST(console_of_a_restored_domain_is_found_again)
{
    boot_with_console(77);
    check_equal(xencons_put("old", 3, NULL), 3);
    struct xencons_interface *old = ring;
    boot_with_console(0);
    check_equal(xencons_put("new", 3, NULL), 3);
    check_equal(old->out_prod, 80);
    check_equal(ring->out_prod, 3);
    check_memory(ring->out, "new", 3);
    check_equal(notified, 1);
}
