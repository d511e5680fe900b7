// What surrounds the firmware: the store, a backend, and what may go wrong.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#define BLKBACK 1
#define QEMU    2
#define TAPBACK 3

// The states of both ends (xenbus.h).
#define Unknown      0
#define Initialising 1
#define InitWait     2
#define Initialised  3
#define Connected    4
#define Closing      5
#define Closed       6
#define NO_STATE     7
#define IN(state)    (1 << (state))     // a set of states

// Whose ring: the one that the nodes name, and the one that the backend maps.
#define NONE  0
#define OURS  1
#define STALE 2                         // a former owner's, found by POST
#define OS    3
#define KEEP  4                         // in a request: leave the nodes as they are

byte fe, be, nodes;                     // the store: both states, the frontend's nodes
bool watch;                             // the backend's watch: something has changed
chan ring = [5] of { byte, byte };      // requests: nodes and state to write, or NO_STATE: read
byte strays;                            // requests that nobody waits for any more
bool replied;                           // the reply, and what it says
byte re_fe, re_be, re_nodes;
byte losses = 1;                        // requests without effect and reply: fewer than tries

bool granted, bound;                    // our grant and our event channel are there
byte mapped;
bool plugging, acting;                  // the backend
bool alive = true;
bool queued, inflight, answered;        // a block request

bool store_open, moved;                 // xen_platform_moved(), as long as the store is open
bool called;                            // somebody calls the BIOS
bool waiting, deadline;                 // a wait of the firmware, and its end
bool trouble, calm;                     // something went wrong; from here on nothing does
bool os_owns;
bool spared = true;                     // no move and no death yet

proctype xenstored()
{
    byte n, s;
    bool lost;
end:
    do
    :: atomic { ring?n,s ->
           if
           :: s == NO_STATE
           :: s != NO_STATE ->
              assert(!os_owns);         // an OS's device is left alone
              if :: n != KEEP -> nodes = n :: n == KEEP
                 :: losses && !calm -> losses--; lost = true fi;
              if :: fe = s; watch = true
                 :: losses && !calm -> losses--; lost = true fi
           fi;
           if
           :: strays -> strays--
           :: else -> replied = !lost; re_fe = fe; re_be = be; re_nodes = nodes
           fi;
           trouble = trouble || lost; lost = false; n = 0; s = 0 }
    od
}

// blkback keeps a ring while requests are being carried out; the others wait for these.
inline disconnect()
{
    if :: BACKEND == BLKBACK && inflight :: else -> mapped = NONE; inflight = false fi
}

inline connect()
{
    if
    :: be == Connected
    :: else ->
       if
       :: BACKEND == TAPBACK -> assert(mapped == NONE)  // else it aborts
       :: else -> disconnect()
       fi;
       assert(nodes != OURS || granted);
       if
       :: mapped == NONE && (nodes == OURS || nodes == OS) ->
          mapped = nodes; be = Connected
       :: else -> if :: BACKEND == BLKBACK -> be = Closing :: else fi
       fi
    fi
}

// frontend_changed(): a backend sees the latest state only.
proctype backend()
{
    byte seen;
end:
    do
    :: atomic { alive && plugging -> plugging = false; be = InitWait; watch = true }
    :: atomic { alive && !plugging && watch -> watch = false; acting = true; seen = fe };
       atomic {
           if
           :: !acting                   // moved or gone meanwhile
           :: else ->
              if
              :: seen == Initialising ->
                 if :: be == Closed || BACKEND == TAPBACK -> be = InitWait :: else fi
              :: seen == Initialised || seen == Connected -> connect()
              :: seen == Closing -> be = Closing
              :: seen == Closed -> disconnect(); be = Closed
              :: seen == Unknown -> disconnect()
              :: else
              fi
           fi;
           acting = false; seen = 0 }
    :: d_step { alive && queued && mapped == OURS -> queued = false; inflight = true }
    :: d_step { inflight -> inflight = false; answered = (mapped == OURS && be == Connected) }
    od
}

proctype fate()
{
end:
    do
    :: !called && !waiting ->
progress: called = true                // once all that was waited for has come to its end
    :: atomic { waiting && !deadline && !calm -> deadline = true; trouble = true }
    :: atomic { timeout && waiting && !deadline -> deadline = true; trouble = true }
    :: !calm && !os_owns -> calm = true
    :: atomic { spared && !calm && !os_owns ->           // the domain is restored, or migrates
           spared = false; moved = store_open; trouble = true;
           do :: len(ring) > 0 -> ring?_,_ :: len(ring) == 0 -> break od;
           fe = Initialising; nodes = NONE; watch = false; strays = 0; replied = false;
           granted = false; bound = false; mapped = NONE;
           queued = false; answered = false; inflight = false; acting = false; alive = true;
           if :: be = InitWait; plugging = false :: be = Initialising; plugging = true fi }
    :: atomic { spared && alive && !calm && !os_owns -> // the backend dies, or is removed
           spared = false; alive = false; trouble = true;
           mapped = NONE; inflight = false; acting = false;
           if :: be = Unknown :: skip fi }
    od
}

