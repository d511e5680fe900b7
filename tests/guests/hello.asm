; hello: says which drive it was booted from, and how large it is; how much memory there is, in KiB
; above 1 MiB (int15 88) and in 64 KiB above 16 MiB (int15 E801); and the ticks and the time of day.
;   HELLO dl=80 drives=01 chs=00000002/00000010/0000003f sectors=0000000000010000 bytes=0200
;   MACHINE 88=fc00 e801=0300
;   NOW ticks=0014a5c3 time=225930

%include "common.inc"

main:   call    get_geometry
        expect  "AH=08 CF", 0, dword [cf]
        call    get_edd
        expect  "AH=48 CF", 0, dword [cf]
        say     "HELLO dl="
        mov     al, [drive]
        call    hex8
        say     " drives="
        mov     al, [0x475]
        call    hex8
        say     " chs="
        mov     eax, [geo_cylinders]
        call    hex32
        say     "/"
        mov     eax, [geo_heads]
        call    hex32
        say     "/"
        mov     eax, [geo_sectors]
        call    hex32
        say     " sectors="
        mov     eax, [edd+16]
        mov     edx, [edd+20]
        call    hex64
        say     " bytes="
        mov     ax, [edd+24]
        call    hex16
        say     10
        expect  "sectors", [hdr_sectors], dword [edd+16]
        expect  "sectors, high half", [hdr_sectors+4], dword [edd+20]
        call    machine
        finish  "hello"

machine:
        say     "MACHINE 88="
        mov     ah, 0x88
        int     0x15
        call    hex16
        say     " e801="
        mov     ax, 0xe801
        int     0x15
        mov     ax, bx
        call    hex16
        say     10, "NOW ticks="
        xor     ah, ah
        int     0x1a
        mov     ax, cx
        call    hex16
        mov     ax, dx
        call    hex16
        say     " time="
        mov     ah, 2
        int     0x1a
        mov     ax, cx
        call    hex16
        mov     al, dh
        call    hex8
        say     10
        ret

        program_pad
