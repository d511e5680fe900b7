// One thing goes wrong, once, at every step of a life from POST to the OS.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "faults.h" // faults_each

#include <sys/mman.h>

int faults_disks;
static int missed;              // calls that failed
static const struct fault *fault;
static void (*life)(void);

// How many steps there are without a fault, by kind.
static u32 *steps;


/****************************************************************
 * Checks
 ****************************************************************/

// What a message can say of each kind of fault, so that a reader finds the cause.
static const char *
causes(int n)
{
    static char text[16];
    static const char *const stalls[] = { "no reply of xenstored", "did not " };
    static const char *const nodes[] = {
        "no usable ", "cannot be read", "there is no backend",
        "somebody else owns it", "xenstore", "could not switch", "gives no size",
        "no BIOS can use", "not a number", "still maps our pages",
        "the device is gone", "does not ",
    };
    const char *const refused[] = { text, "no xenstore", stalls[0], stalls[1] };
    switch (fault->what) {
    case FAULT_HYPERCALL:
        // the last two are those of a refused notification
        snprintf(text, sizeof(text), "(-%d)", fault->how);
        return n < ARRAY_SIZE(refused) ? refused[n] : NULL;
    case FAULT_ALLOCATION:
        return n ? NULL : "Unable to allocate";
    case FAULT_REQUEST:
        if (n < ARRAY_SIZE(stalls))
            return stalls[n];
        n -= ARRAY_SIZE(stalls);
        return n < ARRAY_SIZE(nodes) ? nodes[n] : n == ARRAY_SIZE(nodes)
               ? fault->error : NULL;
    case FAULT_RESPONSE:
        return n ? NULL : fault->how == IO_ERROR ? "failed (-1)" : "did not answer in time";
    default:
        return n < ARRAY_SIZE(stalls) ? stalls[n] : NULL;
    }
}

// Say whether a message names the cause.
static int
is_explained(void)
{
    const char *cause;
    int n;
    for (n = 0; (cause = causes(n)); n++)
        if (sim_logged(cause))
            return 1;
    return 0;
}

// Say what is wrong with a device that should be closed, or null.
static const char *
find_danger(struct backend *be)
{
    static char text[256];
    char path[128];
    snprintf(path, sizeof(path), "%s/state", be->frontend);
    int state = atoi(store_read(path) ?: "0"), i;
    snprintf(path, sizeof(path), "%s/ring-ref", be->frontend);
    if (state == XenbusStateClosed)
        // an OS resets it
        return NULL;
    snprintf(text, sizeof(text), "vbd %u: states %d/%d, %s", be->vbd, state
             , be->state, store_read(path) ? "with a ring-ref" : "no ring-ref");
    if (state != XenbusStateInitialising || store_read(path))
        return text;
    // that a backend did not see our state is not our fault
    if (be->state != XenbusStateInitWait && fault->what != FAULT_WATCH)
        return text;
    for (i = 0; i < XENGRANT_REFS; i++)
        if (i > 1 && hv.grants[i].flags && hv.grants[i].domid == be->domid) {
            snprintf(text, sizeof(text), "vbd %u: grant %d", be->vbd, i);
            return text;
        }
    return NULL;
}

void
faults_check_closed(const char *when)
{
    int i;
    for (i = 0; i < faults_disks; i++) {
        const char *text = find_danger(backends[i]);
        if (text)
            fail("after %s: %s", when, text);
    }
}


/****************************************************************
 * What a life is made of
 ****************************************************************/

void
faults_boot(void)
{
    extern u32 LegacyRamSize;
    int i;
    // a small cache: to fill it is most of the work
    LegacyRamSize = 32 << 20;
    for (i = 0; i < faults_disks; i++) {
        struct backend *be = sim_disk(51712 + 16 * i);
        be->domid = i;
        // a reply that is cut off may name another domain
        be->mislabelled = 1;
    }
    sim_boot_unchecked();
    // as long as IDE takes, and a close that began late
    if (sim_now > 35 * SECOND)
        fail("POST took %llu s", sim_now / SECOND);
    sim_pass(10 * SECOND);
    faults_check_closed("POST");
    // an empty list is one without disks, and one that is not found too; the first
    // request is that of the settings
    int none = fault->what == FAULT_REQUEST && store.fault_at == 2
               && (fault->how == STORE_EMPTY
                   || (fault->error && !strcmp(fault->error, "ENOENT")));
    if (sim_drive_count < faults_disks && !none && !is_explained())
        fail("%d drives, and nobody says why", sim_drive_count);
}

static void
check_call(const char *what, struct backend *be, int ret, u64 begin)
{
    missed += !!ret;
    if (ret && !is_explained())
        fail("vbd %u: a %s failed with %02x, and nobody says why", be->vbd, what
             , ret);
    if (sim_now - begin > 90 * SECOND)
        fail("vbd %u: a %s took %llu s", be->vbd, what
             , (sim_now - begin) / SECOND);
}

void
faults_read(struct backend *be, u64 lba, u32 count)
{
    u64 begin = sim_now;
    check_call("read", be, sim_read_unchecked(be, lba, count), begin);
}

void
faults_write(struct backend *be, u64 lba, u32 count)
{
    u64 begin = sim_now;
    check_call("write", be, sim_write_unchecked(be, lba, count), begin);
}

// The fault is over. A call may find a close that did not come to its end, and
// have to leave it at that; the next one does not.
static void
check_works(const char *what, struct backend *be
            , int (*call)(struct backend *be, u64 lba, u32 count))
{
    int ret = call(be, 9000, 3);
    if (ret) {
        sim_pass(SECOND);
        ret = call(be, 9000, 3);
    }
    if (ret)
        fail("vbd %u: %s after the fault fail with %02x", be->vbd, what, ret);
}

// Everything works again, and leaves no trace.
static void
recover(void)
{
    int i;
    sim_pass(60 * SECOND);
    for (i = 0; i < faults_disks; i++) {
        if (!sim_drive(backends[i]))
            continue;
        check_works("reads", backends[i], sim_read_unchecked);
        check_works("writes", backends[i], sim_write_unchecked);
        sim_check_image(backends[i]);
    }
    xen_handover();
    if (sim_drive_count)
        return sim_check_clean();
    // nobody comes again to take up what was left, or to read a late reply
    faults_check_closed("the fault");
    check_equal(store.transactions + store.watches, 0);
}


/****************************************************************
 * At every step
 ****************************************************************/

static void
count_steps(int n)
{
    life();
    xen_handover();
    sim_check_clean();
    check_equal(missed, 0);
    check_equal(sim_drive_count, faults_disks);
    steps[FAULT_HYPERCALL] = hv.hypercalls;
    steps[FAULT_NOTIFICATION] = hv.notifications;
    steps[FAULT_ALLOCATION] = sim_mallocs;
    steps[FAULT_REQUEST] = store.requests;
    steps[FAULT_RESPONSE] = backend_steps.responses;
    steps[FAULT_WATCH] = backend_steps.watches;
    steps[FAULT_EVENT] = store.events;
}

static void
live_with_fault(int n)
{
    switch (fault->what) {
    case FAULT_HYPERCALL:
        hv.fail_at = n + 1;
        hv.fail_with = fault->how;
        break;
    case FAULT_NOTIFICATION:
        hv.lose_at = n + 1;
        break;
    case FAULT_ALLOCATION:
        sim_fail_malloc = n + 1;
        break;
    case FAULT_REQUEST:
        store.fault_at = n + 1;
        store.fault = fault->how;
        store.error = fault->error;
        break;
    case FAULT_RESPONSE:
        backend_steps.response_at = n + 1;
        backend_steps.response = fault->how;
        break;
    case FAULT_WATCH:
        backend_steps.watch_at = n + 1;
        backend_steps.watch = fault->how;
        break;
    case FAULT_EVENT:
        store.event_at = n + 1;
        break;
    }
    life();
    recover();
}

void
faults_each(const struct fault *which, void (*what)(void), int disks)
{
    if (!steps)
        steps = mmap(NULL, 4096, PROT_READ | PROT_WRITE
                     , MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fault = which;
    life = what;
    faults_disks = disks;
    check_each(1, count_steps);
    printf("%s, %d disks: %u steps\n", fault->name, disks, steps[fault->what]);
    fflush(stdout);
    check_each(steps[fault->what], live_with_fault);
}
