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
#include "xenpv.h" // DTYPE_XEN
#include "xenpv-int.h" // xenvdev_decode

#undef memcpy

#endif // host.h
