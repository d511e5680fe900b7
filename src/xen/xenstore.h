// The store (xs_wire.h, docs/misc/xenstore.txt).
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_XENSTORE_H
#define __XEN_XENSTORE_H

#include "types.h" // u32
#include "xenapi.h" // XENSTORE_PAYLOAD_MAX

extern struct xenstore_domain_interface *xen_store;

// A node below a directory; a null value stands for "remove".
struct xenstore_node_s {
    const char *name, *value;
};

// Allocate what the client needs. POST only. Returns 0 or -1.
int xenstore_setup(void);

// Begin and end a use of the store: xenstore_open() maps Xen's pages, masks
// the port and drops stray replies, xenstore_close() leaves ring and port
// as they were found, in a domain that has moved meanwhile without replies to come.
// Returns 0, or -1: with a message, or since a session is open already.
int xenstore_open(void);
void xenstore_close(void);

// Send a request of type XS_* for `dir`/`name` (or just `dir` if name is null)
// with `value` (may be null) behind it, without waiting for the reply.
// Returns its request id, or 0 with a message. Each request sent must be
// followed by its xenstore_receive(), in order.
u32 xenstore_send(u32 type, const char *dir, const char *name
                  , const char *value);

// After a request that got no reply in time, which is reported, the next ones
// wait for XEN_LIMIT_STALLED only, until one is answered. This makes the next
// one wait for long again.
void xenstore_persist(void);

// Wait for the reply to `id`, at most XEN_LIMIT_STORE. Returns its length in
// bytes and its NUL-terminated payload in *reply, which stays valid until the
// next call; -1 for an error reply (then *reply names the error, as "ENOENT")
// or, with a message and *reply = "", if no proper reply came.
int xenstore_receive(u32 id, const char **reply);

// Read `dir`/`name`, up to XENSTORE_PAYLOAD_MAX bytes. Returns null if there
// is no such node, or no proper reply came.
const char *xenstore_read(const char *dir, const char *name);

// Turn a text of `len` bytes into a number: digits of `base` (10 or 16) and nothing
// else, at most 18 of them. Returns 0 or -1.
int xenstore_parse_number(const char *text, int len, u32 base, u64 *value);

// Send requests to read nodes of a directory. Their replies are to be received in
// this order, before those of later requests.
void xenstore_send_reads(const char *dir, const char *const *names, u32 *ids, int count);

// Receive the replies of nodes that hold a decimal number and nothing else; a value is
// as it was where there is no such node. Returns 0, or the number (from 1) of the first
// that holds something else or got no reply.
int xenstore_receive_numbers(const u32 *ids, u64 *values, int count);

// Both.
#define XENSTORE_NUMBERS_MAX 8
int xenstore_read_numbers(const char *dir, const char *const *names, u64 *values, int count);

// List a directory: NUL-terminated names one after the other in *names.
// Returns their length in bytes, 0 if there is no such directory, else -1.
int xenstore_list(const char *dir, const char **names);

// Write or remove several nodes of a directory, with all requests under way
// at once. Removing a node that does not exist is no error.
// Returns 0, -1 with a message that names the node, or XENSTORE_GONE where a node
// cannot be written since its directory is not there.
#define XENSTORE_GONE (-2)
int xenstore_update(const char *dir, const struct xenstore_node_s *nodes
                    , int count);

// Say whether an error reply means that a node is not there. The C xenstored
// hides a node from a domain, by EACCES, when also its directory is gone.
int xenstore_is_gone(const char *error);

#endif // xenstore.h
