// One device: its states (xenbus.h, blkif.h).
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_XENBUS_H
#define __XEN_XENBUS_H

#include "types.h" // u32
#include "xenapi.h" // domid_t

#define XENBUS_PATHSIZE 128

// Most nodes that a frontend publishes when it connects, and the size of their values.
#define XENBUS_NODES 3
#define XENBUS_VALUESIZE 12

// A class of devices, as the document of its interface tells.
struct xenbus_class_s {
    const char *name;               // "vbd"
    const char *nodes[XENBUS_NODES + 1]; // what we publish, the ring first, then null
    const char *const *others;      // how the names begin of what others publish, then null
};

struct xenbus_s {
    const char *name;               // for messages, as "xvde"
    const struct xenbus_class_s *class;
    char node[32];                  // "device/vbd/51776"
    char backend[XENBUS_PATHSIZE];  // "/local/domain/0/backend/vbd/1/51776"
    char error_dir[XENBUS_PATHSIZE + 16]; // where it may say what is wrong
    domid_t domid;                  // the backend's domain
    char values[XENBUS_NODES][XENBUS_VALUESIZE]; // of the nodes that we publish
    const char *error;              // what was wrong last, a format without its values
    u32 details[3];
    u8 closing;                     // 1: a close has begun, and not come to its end;
                                    // above that: and that has been said
    u32 usual[XenbusStateClosed + 1]; // us that it took to get there last
};

// Say what is wrong with a device, and keep it. `what` is a format with at most three
// values, which may be constant texts. Returns -1.
int xenbus_fail(struct xenbus_s *bus, const char *what, u32 a, u32 b, u32 c);

// Fill in backend path and domain of device `id` of a class.
// Returns 0, or -1 with a message.
int xenbus_probe(struct xenbus_s *bus, const struct xenbus_class_s *class, u32 id);

// Find what the backend wrote about its last failure. Returns null if it is nothing;
// the text stays valid until the next request.
const char *xenbus_find_error(struct xenbus_s *bus);

// Where no OS can own the device, in POST and in a domain that has just moved: bring
// one that somebody has used to frontend Initialising and backend InitWait; a new one
// is waited for. A device that nobody has used, but whose backend is past InitWait, is
// left alone. Returns 0, or -1 with a message.
int xenbus_reset(struct xenbus_s *bus);

// Say whether nobody owns the device (frontend Initialising, backend InitWait).
// Returns 0 if so, else -1 with a message.
int xenbus_check_free(struct xenbus_s *bus);

// Publish the nodes of the class with bus->values, go to Connected, and wait at most
// `limit` ms for the backend to do so, or to go where it never does (Unknown, Closing,
// Closed). Returns 0, or -1 with a message, and what the backend says about it.
int xenbus_connect(struct xenbus_s *bus, u32 limit);

// First half of a close: go to Closed and wait until the backend has followed,
// which means that it has let go of ring and grants. Returns 0, or -1 with a
// message: then the device stays in Closed, and nothing may be taken back.
int xenbus_disconnect(struct xenbus_s *bus);

// Second half: remove our nodes, go to Initialising, wait for the backend's
// InitWait. Returns 0, or another number with a message.
int xenbus_release(struct xenbus_s *bus);

#endif // xenbus.h
