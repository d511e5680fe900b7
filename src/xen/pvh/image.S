// What the entry carries: the BIOS, and in its empty front an option ROM.
// Their files are in the directory of the objects.
//
// This file may be distributed under the terms of the GNU LGPLv3 license.

        .section .vgabios, "a"
        .global vgabios, vgabios_end
vgabios:
        .incbin "vgabios.bin"
vgabios_end:

        .section .bios, "a"
        .incbin "bios.bin", BIOS_SKIP

        .section .note.GNU-stack, "", @progbits
