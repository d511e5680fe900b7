// One use of Xen's shared pages.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_SESSION_H
#define __XEN_SESSION_H

#include "xenapi.h" // evtchn_port_t

// Allocate what sessions need. POST only. Returns 0 or -1.
int xen_session_setup(void);

// Say whether a session can begin: all is set up, and none is under way.
int xen_session_is_possible(void);

// Map shared_info and the first grant frame, and find the xenstore ring:
// whoever ran since the last call may have moved them. The contents of these
// pages belong to Xen and survive. On success *store_port is the event channel
// of xenstored. Returns 0, or -1 with a message.
int xen_platform_map(evtchn_port_t *store_port);

// How often something is tried again because the domain was saved or migrated
// in the middle of it.
#define MOVES_MAX 8

// Say whether the domain was restored or has migrated since
// xen_platform_map(): then rings, grants and event channels of that time are
// gone, and so is all that was under way. Returns 1 or 0.
int xen_platform_moved(void);

// A port of this domain on which no event ever comes.
evtchn_port_t xen_marker_port(void);

// End what xen_platform_map() began. The pages stay where they are.
void xen_platform_unmap(void);

// Find out which domain an event channel leads to, or is open for. Returns its
// id, or -1 if this domain has no such channel.
int xen_port_domain(evtchn_port_t port);

#endif // session.h
