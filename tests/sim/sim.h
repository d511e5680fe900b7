// A simulated Xen: hypervisor, xenstored and block backends, for the unchanged
// layer in a 32-bit process. Nothing takes real time: the clock moves when the
// layer calls the hypervisor, yields or reads the TSC.
//
// Addresses of the process are guest-physical addresses.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __SIM_H
#define __SIM_H

#include "../unit/host.h" // xenapi.h
#include "std/disk.h" // DISK_RET_SUCCESS

#define US 1000ULL
#define MS (1000 * US)
#define SECOND (1000 * MS)

// Memory that nobody may see elsewhere: what an allocation or a caller's buffer
// holds at first.
#define CANARY 0xc5


/****************************************************************
 * machine.c - time, memory, threads and what else SeaBIOS offers
 ****************************************************************/

extern u64 sim_now;             // in ns
extern u32 sim_tsc_mhz;         // 0: Xen does not tell
extern u64 sim_tsc_start;       // the TSC when sim_now was 0
extern int sim_post;            // SeaBIOS is in POST
extern int sim_xen;             // there is a Xen, and SeaBIOS knows it
enum { WINDOW_BAR, WINDOW_HVMLOADER, WINDOW_MEMORY };
extern int sim_window;          // where shared pages go, before sim_start()
extern u32 sim_fail_malloc;     // the allocation that fails, counted from 1
extern u32 sim_mallocs, sim_low_mallocs;
extern u32 sim_high_space;
extern void (*sim_program)(struct bregs *callregs); // runs 16-bit code of others
extern void (*sim_interrupt)(void); // called when interrupts are let in
extern u16 sim_platform_id;     // PCI device id of the platform device

// A number below `range` from the run's seed.
u32 sim_random(u32 range);
extern u32 sim_seed;

// The TSC.
u64 sim_tsc(void);

// Do something at a time, or forget what was to be done with `arg`.
void sim_at(u64 when, void (*func)(void *arg), void *arg);
void sim_cancel(void (*func)(void *arg), void *arg);

// Sleep until `port` (if not 0) is pending or a time has come, or a bit longer.
// With an interrupt pending, nobody sleeps.
void sim_sleep(evtchn_port_t port, u64 until);

// An interrupt is pending so many ns after interrupts were let in; 0: never.
extern u64 sim_tick;

// The interrupts that the PIC masks; the timer is not among them.
#define SIM_IRQ_MASK 0x8eb8
extern u16 sim_irq_mask;

// Let others act for a moment; they act until the next thing that happens, or
// for longer and longer as long as nothing does.
void sim_idle(void);

// Something happened: the next moments are short again.
void sim_progress(void);

// Called at every hypercall, also those that only wait.
extern void (*sim_step)(void);

// Let time pass while the layer does not run.
void sim_pass(u64 ns);

// Let time pass while nobody runs.
void sim_freeze(u64 ns);

// Set up the machine. All of the layer's state is as at power-on.
void sim_start(void);

// Take it down, for another start in the same process.
void sim_stop(void);
void hv_stop(void);
void store_stop(void);
void backends_stop(void);
void guest_stop(void);

// Say whether a page is one that the layer may grant.
int sim_is_high_page(void *page);

// Keys that the user types, each after a look for traces; control characters are
// keys as well.
#define SIM_NO_KEY   1          // none for a while
#define SIM_KEY_UP   2
#define SIM_KEY_DOWN 3
extern const char *sim_keys;
// The time of an access that the device model serves.
#define SIM_COST_PORT (20 * US)

// Everything that went to the debug port, and whether it holds a text.
extern char sim_log[1 << 20];
extern int sim_quiet;           // it is not shown as well
void sim_clear_log(void);
int sim_logged(const char *text);

// Drives that were registered with SeaBIOS.
struct sim_drive {
    struct drive_s *drive;
    char desc[MAXDESCSIZE];
    int cdrom;
    int prio;                   // as given, -1 for none
};
extern struct sim_drive sim_drives[64];
extern int sim_drive_count;
void boot_init(void);

// How often boot.c has read its romfiles.
extern int sim_boot_inits;

// Hard disk number n as SeaBIOS sorts them, or null.
struct drive_s *sim_hard_disk(int n);


/****************************************************************
 * hypervisor.c
 ****************************************************************/

#define SIM_PORTS 1024

struct sim_port {
    enum { PORT_FREE, PORT_UNBOUND, PORT_BOUND, PORT_XEN } state; // the last: Xen's own end
    domid_t remote;
    void (*notified)(void *arg); // of the other end
    void *arg;
};

struct sim_hv {
    // the pages as Xen sees them
    struct shared_info *info;
    grant_entry_v1_t *grants;
    struct xenstore_domain_interface *store;
    void *guest_info, *guest_grants; // where the guest has mapped them
    void *guest_store;              // its view of the store's ring
    domid_t domid;
    evtchn_port_t store_port, console_port;
    u32 store_pfn, console_pfn; // the latter 0: no console
    u32 grant_version;
    struct sim_port ports[SIM_PORTS];
    u16 pins[XENGRANT_REFS];        // how often each grant is mapped
    u32 pinned_frame[XENGRANT_REFS];
    u32 hypercalls;                 // so far, without waiting
    u32 fail_at, fail_with;         // hypercall that fails, and its errno
    u32 lose_at;                    // notification that is lost
    u32 notifications;
    u32 yields, polls;              // waits so far
    u32 shutdowns;                  // a bit for each reason that was given
    int mute;                       // events get lost
    u32 overslept;                  // those for a backend without its event
    u64 time_base;                  // Xen's time is this and sim_now
    int tsc_shift;                  // how Xen tells its time: -1..31
    int time_changes;               // it is never done with telling it
    int (*hook)(u32 nr, u32 op, void *arg, int *ret); // 1: done by the hook
};

extern struct sim_hv hv;

void hv_start(void);

// Let domain `domid` map a grant, as GNTTABOP_map_grant_ref does.
// Returns the page, or null where Xen would refuse.
void *hv_map_grant(domid_t domid, grant_ref_t ref, int write);
void hv_unmap_grant(grant_ref_t ref, int write);

// Bind a port of the guest. Returns 0, or -1 where Xen would refuse.
int hv_bind(domid_t domid, evtchn_port_t port, void (*notified)(void *arg)
            , void *arg);
void hv_unbind(evtchn_port_t port);

// Say whether an event is pending.
int hv_is_pending(evtchn_port_t port);

// Send an event to the guest.
void hv_event(evtchn_port_t port);

// The domain is saved and restored, or migrates: what does not survive that is
// gone (`domid` is its new number).
void hv_move(domid_t domid);

// Somebody else in the guest maps the shared pages elsewhere.
void hv_steal_pages(void);

// Somebody else in the guest has grant entries, as iPXE while a network interface
// is open: granted to `domid`, or only reserved (DOMID_SELF, without flags).
void hv_hold_grants(grant_ref_t from, grant_ref_t to, domid_t domid);

// Fail if the guest ended a grant that is still mapped.
void hv_check_pins(void);


/****************************************************************
 * step.c - between two instructions
 ****************************************************************/

// Call a function after each instruction of the guest that reads or writes the
// store's ring; null: no more.
void sim_at_ring_access(void (*func)(void));

// Where in the ring the last one was.
extern u32 sim_ring_offset;


/****************************************************************
 * store.c, tree.c - xenstored
 ****************************************************************/

struct store_request {
    u32 number;             // of this request, counted from 1
    struct xsd_sockmsg msg;
    char data[XENSTORE_PAYLOAD_MAX + 1];
    char path[XENSTORE_PAYLOAD_MAX + 32]; // absolute
    const char *value;      // null if there is none
    u32 value_len;
};

// What becomes of a request.
enum {
    STORE_NORMAL,
    STORE_ERROR,            // answered with an error (store.error)
    STORE_IGNORE,           // not carried out and not answered
    STORE_LOSE,             // carried out, but not answered
    STORE_LATE,             // answered 8 s later
    STORE_BAD_ID, STORE_BAD_TYPE, STORE_LONG, STORE_HUGE, STORE_EMPTY,
    STORE_TWICE, STORE_NO_NUL, STORE_FULL, STORE_SHORT,
    STORE_STOP,             // xenstored stops for 7 s, and answers then
    STORE_DEAD,             // xenstored stops for ever
};

// Which xenstored it is: the C one does not tell that a node is missing where the
// guest may not see the node above.
enum store_kind { OXENSTORED, CXENSTORED };

struct sim_store {
    enum store_kind kind;
    const char *readable;   // one more directory that the guest may read
    const char *writable;   // one more that it may write: then it may try others too
    u32 requests;
    u32 events, event_at;   // watch events so far, and the one that comes late
    u32 watches;            // that are set
    int event_after_unwatch; // one is still on its way when a watch is removed
    u32 fault_at, fault;    // request with a fault, and which
    u32 faults;             // so far
    const char *error;
    int (*hook)(struct store_request *request); // returns STORE_*
    u64 latency, event_delay;
    u32 split;              // most bytes that are answered at once; 0: all
    u32 conflicts;          // so many commits are answered with EAGAIN
    u32 transactions;       // that are open
    u32 quota;              // writes fail with EQUOTA from so many nodes on
    u64 stopped_until;      // xenstored does not run before
    int dead;
    u32 index;              // where the rings' indices start
    int reconnect_feature;
    int given_up;           // see store_give_up()
};

extern struct sim_store store;

void store_start(void);

// Access of dom0: absolute paths, texts. store_read() returns null if there is
// no such node.
void store_write(const char *path, const char *value);
void store_write_bytes(const char *path, const char *value, u32 len);
const char *store_read(const char *path);
void store_rm(const char *path);
void store_printf(const char *value, const char *path, ...)
    __attribute__((format(printf, 2, 3)));

// Names and values of all nodes below a path, as one text.
char *store_dump(const char *path);

// The guest has a fresh ring page.
void store_reset_ring(void);

// xenstored finds the ring broken, and serves it no more.
void store_give_up(void);

// Bytes of messages that are not on the ring of replies yet, or not complete on
// that of requests.
u32 store_unsent(void);

// xenstored runs on another CPU: it takes and answers what there is right now.
void store_run(void);

// For store.c: a node's value, the names below it (or -1 if they are too many), how
// many nodes there are, and why the guest may not read or write one (or null).
const char *store_get(const char *path, u32 *len);
int store_list(const char *path, char *list, u32 size);
u32 store_nodes(void);
const char *store_refusal(const char *path, int write);
int store_is_below(const char *path, const char *dir);
void tree_stop(void);

// For tree.c: a node was written, or is going to be removed; it is gone.
void store_changed(const char *path, int removed);
void store_gone(const char *path);

// Put raw bytes on the ring of replies.
void store_raw(const void *data, u32 len);


/****************************************************************
 * backend.c, backend_states.c - block backends
 ****************************************************************/

// Most segments of an indirect request that a backend takes.
#define SEGMENTS_MAX 256

// Whose manners a backend has. They differ in when they say what, and in what
// becomes of requests that are under way when the frontend closes.
enum manner {
    BLKBACK,                // Linux: says 6 and keeps ring and pages
    QEMU,                   // waits for them; knows no indirect requests
    TAPBACK,                // as blkback, and lets go by itself when they are done
    NETBSD,                 // connected before any frontend; a close frees it
    FREEBSD,                // of old: connects once, later says 2 and no more
};

// The ways to an image: the PV backend, and the emulated controller.
enum { IMAGE_PV, IMAGE_TWIN, IMAGE_WAYS };

struct backend {
    // what to change before sim_boot()
    u32 vbd;
    domid_t domid;
    enum manner manner;
    const char *kind;       // "vbd" (blkback) or "qdisk"
    const char *type;       // "disk" or "cdrom"
    const char *params, *mode;
    const char *sectors_text; // instead of the number
    const char *sector_size_text, *info_text, *indirect_text;
    u64 sectors;            // of 512 bytes
    u32 sector_size, info;
    int flush, barrier;     // offered, and carried out
    u32 indirect;           // segments of an indirect request, 0: not offered
    int no_indirect;        // not carried out, whatever is offered
    int early;              // properties are there before the connection
    int blank;              // cannot be booted
    const struct partition_s *table;    // four entries in its first sector, or null
    int absent;             // a directory without a driver
    int clustered;          // qcow2 or vhd, not raw: see image.c
    u64 hotplug, latency, io_latency; // ns
    u64 stalled_until;      // no request is done before
    int one_by_one;         // it does one request after the other
    u64 sector_time;        // ns, for which each sector of a request keeps others waiting
    int skip_initwait;      // cannot be opened again
    const char *connect_error; // why it does not connect
    int error_state;        // what it says then, if not Closing
    int mislabelled;        // what the layer reads in the store may be a lie
    int bad_from, bad_to;   // sectors that cannot be read or written
    int fail_writes, fail_flush;

    // hooks to misbehave with; null: behave
    int (*hook_state)(struct backend *be, int state); // -1: do not switch
    int (*hook_response)(struct backend *be, struct blkif_response *rsp); // 0: no
    void (*hook_io)(struct backend *be);
    int keep_mapped;        // never unmaps what it has mapped

    // state
    int index, state;
    char frontend[64], backend[64];
    struct blkif_sring *sring;
    grant_ref_t ring_ref;
    evtchn_port_t port;
    RING_IDX req_cons, rsp_prod;
    int spoilt;             // its responses have overwritten requests
    int open;               // requests under way
    int opened;             // it has connected in this life
    int stopped;            // it takes no requests
    int closing;            // it will say 6 when none is under way
    int dead_ring;          // nothing is answered, and it goes with the last one
    int gone;               // the device was taken away
    u64 busy_until;
    u32 reads, writes, flushes, barriers, connects, requests, largest, events;
    u32 indirects;          // of the requests
    u32 ids;                // numbers that requests had, a bit each
    u32 dirty;              // writes since the last flush

    // image.c
    u32 tags[IMAGE_WAYS];   // of the medium that each way sees
    u32 places;
    struct sector *image[1024];
    struct cluster *clusters;
    struct twin *twin;      // the same disk, emulated; or null
};

extern struct backend *backends[64];
extern int backend_count;

// What goes wrong with one response, or one watch event of a backend.
enum { IO_ERROR, IO_LOSE, IO_LATE, IO_TOO_LATE };
enum { WATCH_LOSE, WATCH_LATE };

struct backend_steps {
    u32 responses, watches;         // so far, of all backends
    u32 response_at, response;      // response with a fault, and which
    u32 watch_at, watch;            // the same for a watch event
};
extern struct backend_steps backend_steps;

// Pages that backends have mapped for data, each looked through.
extern u32 pages_seen;

// Add a disk: VBD number, 128 MiB, blkback, read-write; and one that is a CD, with a
// medium.
struct backend *sim_disk(u32 vbd);
struct backend *sim_cd(u32 vbd);

// Make the nodes of the disks as libxl does.
void backends_start(void);

// The same for new backends after a migration.
void backends_move(void);

// A node was written: wake who watches it.
void backend_watch(const char *path);

void backend_set_state(struct backend *be, int state);

// A disk is taken away at once: `xl block-detach --force`, only the directory of
// one end is removed, or the domain of the backend (and of all its disks) is
// destroyed.
enum { VANISH_DETACH, VANISH_BACKEND, VANISH_FRONTEND, VANISH_DOMAIN };
void backend_vanish(struct backend *be, int what);

// Another one with its number is put in its place (`xl block-attach`).
void backend_plug(struct backend *be);

// Another medium: `xl cd-insert`, or `xl cd-eject` with empty `params`. `tag` is
// that of its contents, below 256 and nobody else's. The emulated drive has it at
// once; the PV backend sees it if `followed`, which is not the rule.
void backend_insert(struct backend *be, const char *params, u32 tag
                    , int followed);

// Answer a request as the backend's ring says, and tell the guest.
void backend_push(struct backend *be, struct blkif_response *rsp);
void backend_notify(struct backend *be);

// For backend_states.c: the ring takes no more requests; it is not mapped any
// more; requests under way are forgotten, their pages unmapped or not.
void backend_stop_ring(struct backend *be);
void backend_free_ring(struct backend *be);
void backend_drop_requests(struct backend *be, int mapped);
void backend_ring_notified(void *arg);
void backend_check_ring(struct backend *be, struct blkif_sring *sring);

// For backend.c: no request is under way any more.
void backend_idle(struct backend *be);


/****************************************************************
 * image.c - contents of disks
 ****************************************************************/

// Read or write a sector of 512 bytes, as one of the ways to the image does.
void image_read(struct backend *be, int way, u64 sector, u8 *data);
void image_write(struct backend *be, int way, u64 sector, const u8 *data);

// What a sector should hold: what was written there last, by any way.
void image_truth(struct backend *be, u64 sector, u8 *data);

// What the image's file holds in the end, for whoever opens it next.
void image_file(struct backend *be, u64 sector, u8 *data);

// Call a function for each sector that was written.
void image_each_written(struct backend *be
                        , void (*check)(struct backend *be, u64 sector));

void image_stop(struct backend *be);


/****************************************************************
 * twin.c - emulated twins
 ****************************************************************/

// The same disk behind an emulated controller. Change what is to be different
// before sim_boot(): size, geometry.
struct twin {
    union {
        struct drive_s drive;
        struct atadrive_s ata;
        struct ahci_port_s ahci;
    };
    struct backend *be;
    char desc[64];
    int fail;               // DISK_RET_* of every call
    u32 calls, reads, writes, commands; // so far
};

// Give a disk a twin: DTYPE_ATA, DTYPE_AHCI, DTYPE_LSI_SCSI or DTYPE_ATA_ATAPI, and
// its number on the controller. It is registered after the
// layer's setup, through the seam in boot_add_hd() and boot_add_cd() (machine.c).
struct twin *sim_twin(struct backend *be, u8 type, u32 unit);

// The seam, as SeaBIOS's drivers call it.
void boot_add_hd(struct drive_s *drive, const char *desc, int prio);
void boot_add_cd(struct drive_s *drive, const char *desc, int prio);

// For guest.c: register the twins; move sectors by the controller's ports.
void twins_register(void);
int twin_move(struct twin *twin, int write, u64 sector, u32 count, u8 *buf);

// For machine.c: what SeaBIOS's driver does, and the ports of the controllers.
int twin_process_op(struct disk_op_s *op);
u8 twin_inb(u16 port);
u32 twin_inl(u16 port);
void twin_outb(u16 port, u8 value);
void twins_stop(void);

// Accesses to them, of the layer's code.
extern u32 sim_port_accesses;

// The host takes the CPU away for so many ns within the next access of one byte.
extern u64 sim_port_pause;


/****************************************************************
 * guest.c - what SeaBIOS does with the layer, checked
 ****************************************************************/

// Start everything, up to the moment before POST.
void sim_prepare(void);

// What POST calls of the layer, in its order.
void sim_post_setup(void);

// Prepare unless that was done, run POST, and check that no trace is left.
void sim_boot(void);

// Only that, without the checks.
void sim_boot_unchecked(void);

// The drive of a disk, or null: the PV one if there are two.
struct drive_s *sim_drive(struct backend *be);

// How many drives a disk is.
int sim_drives_of(struct backend *be);

// Read (and compare) or write sectors of 512 bytes by the ports of the emulated
// controller, as an OS without PV drivers does.
void sim_port_read(struct backend *be, u64 sector, u32 count);
void sim_port_write(struct backend *be, u64 sector, u32 count);

// Read or write through int13's path, compare every byte, and check that no
// trace is left. Returns DISK_RET_*.
int sim_read(struct backend *be, u64 lba, u32 count);
int sim_write(struct backend *be, u64 lba, u32 count);

// The same without the check for traces.
int sim_read_unchecked(struct backend *be, u64 lba, u32 count);
int sim_write_unchecked(struct backend *be, u64 lba, u32 count);

// What is there now is what must be there when no int13 runs.
void sim_remember(void);

// Fail if anything shows that the firmware ran.
void sim_check_clean(void);

// The same, except for what one disk shows, and what is granted or open to its
// domain, which must be its own.
void sim_check_clean_but(struct backend *dead);

// Like these, but return a text instead, or null.
const char *sim_find_trace(void);
const char *sim_find_trace_but(struct backend *dead);

// Fail if a disk holds anything but what was written to it.
void sim_check_image(struct backend *be);

#endif // sim.h
