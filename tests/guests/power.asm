; power: ends the machine by the BIOS, as the header's label says: `off` by APM, `reset` by
; the reset vector.

%include "common.inc"

main:   say     "POWER ends now", 10
        cmp     dword [hdr_label], "off"
        je      .off
        mov     word [0x472], 0
        jmp     0xffff:0

.off:   mov     ax, 0x5301              ; connect
        xor     bx, bx
        int     0x15
        mov     ax, 0x5307              ; all devices off
        mov     bx, 1
        mov     cx, 3
        int     0x15
        say     "TEST FAIL power, it goes on", 10
        jmp     sleep

        program_pad
