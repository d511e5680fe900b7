; The ROM of a network device (PnP BIOS Specification 1.0A, PCI Firmware Specification 3.0): its
; boot entry says on port E9 that it runs. VENDOR, DEVICE and NUMBER are given on the command line;
; a checksum has to be made of the last byte.

        bits 16
        org 0

        db      0x55, 0xaa, 1           ; size in units of 512 bytes
        jmp     short init
        times 0x18-($-$$) db 0
        dw      pcir, pnp

pcir:   db      "PCIR"
        dw      VENDOR, DEVICE, 0, 0x18
        db      0, 0, 0, 2              ; revision; class: a network device
        dw      1, 0
        db      0, 0x80                 ; code of a PC; the last image
        dw      0

        align   16, db 0
pnp:    db      "$PnP", 1, 2            ; revision, length in units of 16 bytes
        dw      0
        db      0, 0
        dd      0
        dw      0, product
        db      0, 0, 2, 0
        dw      0, 0, boot, 0, 0

product db      "Test ROM ", '0' + NUMBER, 0

init:   xor     ax, ax
        retf

boot:   mov     si, text
say:    cs lodsb
        out     0xe9, al
        test    al, al
        jnz     say
        jmp     $

text    db      "ROM ", '0' + NUMBER, " boots", 10, 0

        times 511-($-$$) db 0
