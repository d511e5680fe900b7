// The C library and SeaBIOS's headers in one file of the host's side.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.
#ifndef __HOST_H
#define __HOST_H

#include "check.h" // TEST

#undef NULL
#undef offsetof
#undef __always_inline

#include "block.h" // struct drive_s
#include "blkcache.h" // blkcache_init
#include "blktwin.h" // XenTwins
#include "hw/ahci.h" // struct ahci_port_s
#include "hw/ata.h" // struct atadrive_s
#include "blkring.h" // BLKRING_SECTOR
#include "console.h" // xencons_put
#include "gnttab.h" // XENGRANT_REFS
#include "handover.h" // xen_handover_arm
#include "platform.h" // xen_alloc
#include "romfile.h" // romfile_find
#include "session.h" // xen_platform_moved
#include "settings.h" // xensettings_from_smbios
#include "vdev.h" // xenvdev_decode
#include "wait.h" // XEN_LIMIT_POST
#include "xenpv.h" // DTYPE_XEN
#include "xenstore.h" // xenstore_open

#undef memcpy

#endif // host.h
