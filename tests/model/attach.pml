// The firmware's side of attach and close, and an OS that may take over whenever
// no int13 runs. README.md says what this shows. An inline is named like the C
// function that it stands for.
//
// Set from outside: BACKEND, STICKY (0 or 1), BREAK (0: the layer as it is).
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

#include "world.pml"

// Breaks of the firmware. Each must be refuted.
#define NO_WAIT_CLOSED    (BREAK == 1)  // 1 is written without waiting for the backend's 6
#define TIMEOUT_IS_CLOSED (BREAK == 2)  // 1 is written even if the backend's 6 did not come
#define NO_CLOSED         (BREAK == 3)  // straight from 4 to 1
#define EARLY_END         (BREAK == 4)  // ring and port are taken back before the backend's 6
#define BLIND_END         (BREAK == 5)  // a grant is ended without a look whether it is mapped
#define NO_REMOVE         (BREAK == 6)  // the nodes stay
#define NO_WAIT_READY     (BREAK == 7)  // int13 ends without waiting for the backend's 2
#define NO_GUARD          (BREAK == 8)  // attach from any state
#define FORGET_CLOSE      (BREAK == 9)  // an interrupted close is not gone on with
#define ANY_CLOSE         (BREAK == 10) // it is, whoever has the device
#define NO_RETRY          (BREAK == 11) // a state is written once
#define NO_DEADLINE       (BREAK == 12) // a wait has no end
#define NOT_MOVED         (BREAK == 13) // a move of the domain is not noticed
#define POST_RELEASES     (BREAK == 14) // POST writes 1 over whatever a former owner left
#define NO_HINT           (BREAK == 15) // sticky: the OS comes without a hint
#define HINT_FORGETS      (BREAK == 16) // sticky: a hint does not wait for the backend


/**************** xenstore.c, gnttab.c, evtchn.c, blkring.c ****************/

inline wait_for(condition)
{
    waiting = true;
    if
    :: condition -> ret = true
    :: moved || (deadline && !NO_DEADLINE) -> ret = false
    fi;
    waiting = false; deadline = false
}

inline xenstore_request(n, s)           // xenstore_send(), xenstore_receive()
{
    if
    :: nfull(ring) -> replied = false; ring!n,s; wait_for(replied);
       if :: ret :: else -> strays = len(ring) fi;
       replied = false
    :: full(ring) -> ret = false
    fi
}

inline blkring_open()
{
    assert(!port && !granted);
    granted = true; bound = true; port = true
}

inline xengrant_end()
{
    ret = (mapped != OURS || BLIND_END);
    assert(!ret || mapped != OURS);
    granted = granted && !ret
}

inline blkring_close()
{
    ret = true;
    if
    :: port ->
       xengrant_end();
       if :: ret -> assert(mapped != OURS); bound = false; port = false :: else fi
    :: else
    fi
}

inline blkring_wait()
{
    queued = true; wait_for(answered); queued = false; answered = false;
    dead = (!ret && !moved)
}


/**************** xenbus.c ****************/

inline read_states()
{
    xenstore_request(KEEP, NO_STATE);
    if :: ret :: else -> re_fe = NO_STATE; re_be = NO_STATE fi
}

inline wait_backend(wanted)
{
    late = false;
    do
    :: read_states();
       if
       :: IN(re_be) & (wanted) -> ret = true; break
       :: else ->
          if :: late || re_be == NO_STATE -> ret = false; break :: else fi;
          wait_for(be != re_be); late = !ret    // once more after the deadline
       fi
    od
}

inline switch_state(n, s)
{
    touched = true; tries = (NO_RETRY -> 1 : 2); ret = false;
    do
    :: !ret && tries && !moved -> xenstore_request(n, s); tries--
    :: else -> break
    od
}

inline xenbus_check_free()
{
    read_states(); ret = (NO_GUARD || (re_fe == Initialising && re_be == InitWait))
}

inline xenbus_connect()
{
    switch_state(OURS, Connected); if :: ret -> wait_backend(IN(Connected)) :: else fi
}

inline is_our_close()
{
    read_states();
    ret = ((re_fe == Closed && (re_be == Closed || re_be == Unknown)) ||
           (re_fe == Initialising && re_be == InitWait) ||
           (re_fe == Connected && re_nodes == OURS) || ANY_CLOSE)
}

inline xenbus_disconnect()
{
    ret = true;
    if :: closing -> is_our_close() :: else fi;
    if
    :: ret && !NO_CLOSED ->
       closing = true; switch_state(KEEP, Closed);
       if
       :: ret && !NO_WAIT_CLOSED ->
          wait_backend(IN(Closed) | IN(Unknown)); ret = (ret || TIMEOUT_IS_CLOSED)
       :: else
       fi
    :: else
    fi
}

inline xenbus_release()
{
    switch_state((NO_REMOVE -> KEEP : NONE), Initialising);
    if
    :: ret -> closing = false; if :: !NO_WAIT_READY -> wait_backend(IN(InitWait)) :: else fi
    :: else
    fi
}

inline xenbus_reset()
{
    read_states();
    if
    :: re_be == NO_STATE || (re_fe == Initialising && re_be == Unknown) -> ret = false
    :: re_fe == Initialising && (re_be == Initialising || re_be == InitWait) ->
       wait_backend(IN(InitWait))
    :: else ->
       ret = true;
       if
       :: re_be == Unknown || re_be == Closed || POST_RELEASES
       :: else -> xenbus_disconnect()
       fi;
       if :: ret -> xenbus_release() :: else fi
    fi
}


/**************** blkdev.c, blkfront.c ****************/

inline close_device()
{
    ret = !moved;
    if
    :: ret ->
       attached = false;
       if :: EARLY_END -> blkring_close() :: else fi;
       if :: ret -> xenbus_disconnect() :: else fi;
       if :: ret && !moved -> blkring_close() :: else -> ret = false fi;
       if :: ret -> xenbus_release() :: else fi;
       closing = closing && !FORGET_CLOSE
    :: else
    fi
}

inline attach()
{
    ret = true;
    if :: closing -> close_device() :: else fi;
    if :: ret -> xenbus_check_free() :: else fi;
    if :: ret -> blkring_open(); attached = true; xenbus_connect() :: else fi
}

inline forget_all()
{
    attached = false; closing = false; port = false; store_open = false; moved = false
}

inline attach_once(stay)
{
    if :: attached && moved -> forget_all() :: else fi;
    if :: attached -> ret = true :: else -> store_open = true; moved = false; attach() fi;
    if :: ret -> blkring_wait() :: else fi;
    good = ret;
    if :: attached && (!good || !(stay)) -> close_device() :: else fi;
    if :: attached || moved :: else -> store_open = false fi
}

inline xen_handover()                   // close_all()
{
    if
    :: attached ->
       if
       :: HINT_FORGETS -> switch_state(KEEP, Closed); attached = false
       :: else -> close_device()
       fi;
       if :: moved -> forget_all() :: else -> store_open = false fi
    :: else
    fi
}

proctype vcpu()
{
    bool closing, port, attached, dead; // xenbus_s, blkring_s, xendisk_s
    bool registered, leaving, touched, sure, ret, good, late;
    byte tries;
    atomic {
        skip;
post:   store_open = true; moved = false;
        xenbus_reset();
again:  good = false;                   // int13, and the same in POST
        if :: (registered || ret) && !dead -> attach_once(STICKY && registered) :: else fi;
        if
        :: !moved || NOT_MOVED
        :: else -> forget_all(); if :: registered -> goto again :: else -> goto post fi
        fi;
        assert(!sure || good);          // trouble does not last
        assert(!good || !moved);        // what was read before a move does not count
        if :: os_owns -> goto done :: else -> registered = (registered || (good && ret)) fi;
        if :: attached :: else -> store_open = false; moved = false fi;
next:   re_fe = 0; re_be = 0; re_nodes = 0;
        called && (!calm || (empty(ring) && !acting && !inflight &&
                             (!alive || (!watch && !plugging)))); called = false;
        if
        :: registered -> sure = (calm && alive && !dead && !os_owns); goto again
        :: STICKY && !os_owns && !NO_HINT -> if :: leaving = true :: skip fi; xen_handover()
        :: (!STICKY || NO_HINT) && !os_owns -> leaving = true
        fi;
        if :: leaving :: else -> goto next fi;
        empty(ring);                    // an OS: its requests come behind those that are left
        os_owns = true;
        assert(!touched || fe == Closed ||
               (fe == Initialising && nodes == NONE && !granted && !bound && mapped == NONE &&
                (be <= InitWait || be == Closed)));
        assert(trouble || (fe == Initialising && be == InitWait));
        if
        :: !touched && (fe != Initialising || be != InitWait) -> goto done
        :: touched && fe == Closed ->   // it resets the device
           watch = true; if :: be == Closed || be == Unknown :: timeout -> goto done fi;
           fe = Initialising; watch = true; if :: be == InitWait :: timeout -> goto done fi
        :: else
        fi;
        nodes = OS; fe = Connected; watch = true;
        if
        :: be == Connected -> assert(mapped == OS || !alive)
        :: timeout -> assert(!alive || dead); goto done
        fi;
        if :: registered -> goto next :: else fi;       // kexec: its disk and our int13
done:   skip
    }
}

init
{
    atomic {
        select(fe : 0 .. 6); select(be : 0 .. 6);
        if :: fe != Initialising -> nodes = STALE :: else fi;
        if :: be == Connected || be == Closing -> mapped = STALE :: else fi;
        if
        :: be == Unknown -> alive = false; trouble = true
        :: be == Initialising -> plugging = true
        :: else
        fi;
        run xenstored(); run backend(); run fate(); run vcpu()
    }
}
