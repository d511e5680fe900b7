// Event channels (event_channel.h).
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __XEN_EVTCHN_H
#define __XEN_EVTCHN_H

#include "xenapi.h" // evtchn_port_t

// Allocate an event channel that domain `remote` may bind. Returns the port, or
// a negative errno.
int xenevtchn_open(domid_t remote);

// Close a port, and clear what is pending on it.
void xenevtchn_close(evtchn_port_t port);

// Notify the other end.
void xenevtchn_notify(evtchn_port_t port);

// Mask or unmask a port: the layer waits for its events in Xen (wait.c), takes no
// interrupt for them, and so masks what it uses.
// Returns 1 if it was masked before, else 0.
int xenevtchn_set_mask(evtchn_port_t port, int masked);

// Clear the pending bit of a port. Returns 1 if it was set.
int xenevtchn_clear(evtchn_port_t port);

// Clear what tells the vCPU that an event is pending, if none is: an event that
// came while its port was not masked has set it.
void xenevtchn_settle(void);

#endif // evtchn.h
