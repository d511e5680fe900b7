; hello: says which drive it was booted from, and how large it is.
;   HELLO dl=80 drives=01 chs=00000002/00000010/0000003f sectors=0000000000010000 bytes=0200

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
        finish  "hello"

        program_pad
