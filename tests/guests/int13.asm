; int13: what a caller may expect from int13 on the drive it was booted from.
;
; For each group of checks it prints "TEST ok NAME N calls", or "TEST bad NAME ..."
; after lines "FAIL NAME: what want=.. got=.. in ah=.. ..."; at the end
; "TEST PASS int13" or "TEST FAIL int13 N". "WRITE lba count generation" lines tell
; the host what was written, "INFO ..." lines what may differ from drive to drive.
; The image's label chooses how the calls are made: callers.inc.
;
; A check marked [SeaBIOS] is this BIOS's answer where the EDD specification leaves
; the choice or other BIOSes differ; the unmarked ones any BIOS should pass.

%include "common.inc"

BUFFER          equ 0x30000200          ; segment:offset of the usual buffer

main:   call    pattern_init
        call    become_caller
        call    watch_memory
        call    test_parameters
        call    test_read_all
        call    test_read_count
        call    test_read_chs
        call    test_read_buffer
        call    test_read_64k
        call    test_packet
        call    test_count
        call    test_end
        call    test_chs_limits
        call    test_functions
        call    test_no_drive
        call    test_write
        call    test_write_end
        call    test_mixed
        group   "read-again"
        call    read_all
        group_end
        call    test_memory
        call    check_caller
        finish  "int13"


; -------------------------------------------------- AH = 00, 01, 08, 15, 41, 48

; plain AX: call the function AX with junk in the other registers.
%macro  plain 1
        call    junk_registers
        mov     word [in_eax], %1
        call    call13
%endmacro

test_parameters:
        group   "parameters"
        plain   0x0000                          ; reset
        call    check_success
        plain   0x0100                          ; status of the last call
        call    check_success

        call    get_geometry
        call    check_success
        movzx   eax, byte [0x475]
        movzx   edx, byte [out_edx]
        expect  "AH=08 drives", eax, edx
        movzx   eax, byte [out_eax]
        expect  "AH=08 AL", 0, eax              ; [SeaBIOS]
        mov     eax, [chs_limit]
        call    check_fits
        ; One more cylinder is there: AH=08 hides the last one. [SeaBIOS]
        mov     eax, [geo_heads]
        mul     dword [geo_sectors]
        add     eax, [chs_limit]
        call    check_fits

        call    junk_registers
        mov     byte [in_eax+1], 0x15           ; disk type and size
        mov     word [changes], 1 << 2 | 1 << 3
        call    call13
        expect  "AH=15 CF", 0, dword [cf]
        expect  "AH=15 type", 3, dword [status]
        mov     ax, [out_ecx]
        shl     eax, 16
        mov     ax, [out_edx]
        expect  "AH=15 sectors", [chs_limit], eax       ; [SeaBIOS]

        call    junk_registers
        mov     byte [in_eax+1], 0x41           ; EDD installation check
        mov     word [in_ebx], 0x55aa
        mov     word [changes], 1 << 1 | 1 << 2
        call    call13
        expect  "AH=41 CF", 0, dword [cf]
        expect  "AH=41 version", 0x30, dword [status]   ; [SeaBIOS]
        movzx   eax, word [out_ebx]
        expect  "AH=41 BX", 0xaa55, eax
        movzx   eax, word [out_ecx]
        expect  "AH=41 CX", 7, eax                      ; [SeaBIOS]

        mov     si, edd_rooms
.edd:   lodsw
        test    ax, ax
        jz      .small
        mov     [edd_room], ax
        call    get_edd
        call    check_success
        expect  "AH=48 sectors", [hdr_sectors], dword [edd+16]
        expect  "AH=48 sectors, high half", [hdr_sectors+4], dword [edd+20]
        movzx   eax, word [edd+24]
        expect  "AH=48 sector size", SECTOR, eax
        call    check_edd_end
        jmp     .edd

.small: mov     word [edd_room], 25             ; less than the specification allows
        call    get_edd
        expect  "AH=48, 25 bytes: CF", 1, dword [cf]
        expect  "AH=48, 25 bytes: AH", 1, dword [status]
        movzx   eax, word [edd]
        expect  "AH=48, 25 bytes: size", 25, eax
        mov     eax, GUARD_BYTE * 0x01010101
        expect  "AH=48, 25 bytes: data", eax, dword [edd+2]

        mov     word [edd_room], 74
        call    get_edd
        say     "INFO edd size="
        mov     ax, [edd]
        call    hex16
        say     " flags="
        mov     ax, [edd+2]
        call    hex16
        say     10
        plain   0x0000
        call    check_success
        group_end
        ret

edd_rooms:
        dw      26, 27, 29, 30, 31, 65, 66, 67, 73, 74, 75, 80, 0

; After AH=48: no more was filled in than there was room for and than it says.
check_edd_end:
        pushad
        movzx   ecx, word [edd]
        movzx   eax, word [edd_room]
        cmp     cx, ax
        seta    bl
        movzx   ebx, bl
        expect  "AH=48 size larger than the room", 0, ebx
        mov     di, edd
        add     di, ax
        mov     cx, edd_end
        sub     cx, di
        mov     al, GUARD_BYTE
        cmp     eax, eax
        repe    scasb
        setne   bl
        expect  "AH=48 wrote behind its room", 0, ebx
        popad
        ret

; Check that EAX sectors are not more than the disk has.
check_fits:
        push    ebx
        xor     ebx, ebx
        cmp     dword [hdr_sectors+4], 0
        jne     .end
        cmp     [hdr_sectors], eax
        setb    bl
.end:   expect  "CHS behind the disk's end", 0, ebx
        pop     ebx
        ret

check_success:
        expect  "CF", 0, dword [cf]
        expect  "AH", 0, dword [status]
        ret


; ---------------------------------------------------------------------- reading

test_read_all:
        group   "read-all"
        call    read_all
        group_end
        ret

; Read every patterned sector.
read_all:
        access  0x42, DATA_LBA, 127, BUFFER
        mov     ebx, [hdr_patterned]
.next:  mov     eax, ebx
        sub     eax, [io_lba]
        jz      .tail
        cmp     eax, 127
        jbe     .last
        mov     eax, 127
.last:  mov     [io_count], ax
        call    read_ok
        add     [io_lba], eax
        jmp     .next

.tail:  mov     eax, TAIL_SECTORS
        call    from_end
        mov     word [io_count], TAIL_SECTORS
        call    read_ok
        ret

; Set [io_lba] to the disk's end less EAX sectors.
from_end:
        push    edx
        mov     edx, [hdr_sectors]
        sub     edx, eax
        mov     [io_lba], edx
        mov     edx, [hdr_sectors+4]
        sbb     edx, 0
        mov     [io_lba+4], edx
        pop     edx
        ret

; Move on: [io_lba] += EAX, but the access has to end in front of EBX.
advance:
        push    eax
        add     eax, [io_lba]
        mov     [io_lba], eax
        movzx   eax, word [io_count]
        add     eax, [io_lba]
        cmp     eax, ebx
        jbe     .end
        mov     dword [io_lba], DATA_LBA
.end:   pop     eax
        ret

; Counts 1 to 128 by LBA, one behind the other with gaps.
test_read_count:
        group   "read-count"
        access  0x42, DATA_LBA, 1, BUFFER
        mov     ebx, [hdr_patterned]
        mov     ecx, 1
.next:  mov     [io_count], cx
        lea     eax, [ecx+ecx*2]
        call    advance
        call    read_ok
        inc     cx
        cmp     cx, 128                         ; 64 KiB: [SeaBIOS], others stop at 127
        jbe     .next
        group_end
        ret

; Counts 1 to 128 by CHS: across tracks and cylinders, and the last CHS sector.
test_read_chs:
        group   "read-chs"
        call    limit_chs
        access  0x02, DATA_LBA, 1, BUFFER
        mov     ecx, 1
.next:  mov     [io_count], cx
        lea     eax, [ecx+3]
        call    advance
        call    read_ok
        inc     cx
        cmp     cx, 128
        jbe     .next

        ; Around each of the first cylinders' beginnings.
        mov     word [io_count], 2
        mov     eax, [geo_sectors]
        mul     dword [geo_heads]
        mov     ecx, 8
        mov     esi, eax
.edge:  lea     edx, [eax-1]
        mov     [io_lba], edx
        lea     edx, [eax+1]
        cmp     edx, ebx
        ja      .last
        call    read_ok
        add     eax, esi
        loop    .edge

.last:  mov     eax, ebx
        dec     eax
        mov     [io_lba], eax
        mov     word [io_count], 1
        call    read_ok
        group_end
        ret

; Out: EBX = where CHS accesses to patterned sectors have to end.
limit_chs:
        mov     ebx, [chs_limit]
        cmp     ebx, [hdr_patterned]
        jbe     .end
        mov     ebx, [hdr_patterned]
.end:   ret

; Buffers at odd places, by LBA and CHS.
test_read_buffer:
        group   "read-buffer"
        call    limit_chs
        access  0x42, 1000, 1, BUFFER
        mov     si, buffer_offsets
.offset:
        lodsw
        mov     [io_buffer], ax
        mov     di, buffer_counts
.count: mov     ax, [di]
        mov     [io_count], ax
        movzx   eax, ax
        mov     byte [io_ah], 0x42
        call    advance
        call    read_ok
        mov     byte [io_ah], 0x02
        call    advance
        call    read_ok
        add     di, 2
        cmp     di, buffer_counts_end
        jb      .count
        cmp     si, buffer_offsets_end
        jb      .offset
        group_end
        ret

buffer_offsets:
        dw      0x200, 0x201, 0x202, 0x203, 0x204, 0x208, 0x210, 0x3ff, 0x3fd, 0x2aa
buffer_offsets_end:
buffer_counts:
        dw      1, 2, 7, 8, 9, 63, 127
buffer_counts_end:

; Buffers across a 64 KiB boundary of memory, by a low offset, and by an offset that
; runs over 0xffff [SeaBIOS takes the address as a linear one].
test_read_64k:
        group   "read-64k"
        call    limit_chs
        access  0x42, 2000, 1, BUFFER
        mov     si, boundary_buffers
.next:  lodsd
        mov     [io_buffer], eax
        lodsw
        mov     [io_count], ax
        mov     byte [io_ah], 0x42
        mov     eax, 128
        call    advance
        call    read_ok
        mov     byte [io_ah], 0x02
        call    read_ok
        cmp     si, boundary_buffers_end
        jb      .next
        group_end
        ret

; dd segment:offset, dw count
%macro  boundary 3
        dd      %1 << 16 | %2
        dw      %3
%endmacro
boundary_buffers:
        boundary 0x3fff, 0x000f, 1
        boundary 0x3fff, 0x000e, 2
        boundary 0x3ff0, 0x0000, 1
        boundary 0x3ff0, 0x0001, 127
        boundary 0x3ff0, 0x0003, 128
        boundary 0x3fe0, 0x0001, 1
        boundary 0x3fe0, 0x0002, 1
        boundary 0x3000, 0x8000, 127
        boundary 0x3000, 0x7fff, 128
        boundary 0x3000, 0xfdff, 2
        boundary 0x3000, 0xfe00, 1
        boundary 0x3000, 0xfe01, 1
        boundary 0x3000, 0xff00, 1
        boundary 0x3000, 0xff00, 127
        boundary 0x3000, 0xffff, 1
        boundary 0x3000, 0xffff, 128
        boundary 0x3000, 0x0210, 128
boundary_buffers_end:

; The packet of AH=42 at an odd place, larger, and through DS.
test_packet:
        group   "packet"
        access  0x42, 3000, 5, BUFFER
        mov     si, packet_heads
.next:  mov     bl, FILL_BYTE
        call    fill_buffer
        mov     ax, 0x2000
        mov     es, ax
        mov     di, 0x1001
        lodsw                                   ; size and the reserved byte
        stosw
        mov     ax, [io_count]
        stosw
        mov     eax, [io_buffer]
        stosd
        mov     eax, [io_lba]
        stosd
        mov     eax, [io_lba+4]
        stosd
        mov     ax, 0
        mov     es, ax
        call    junk_registers
        mov     byte [in_eax+1], 0x42
        mov     word [in_esi], 0x1001
        mov     word [in_ds], 0x2000
        call    call13
        mov     dword [done], 5
        call    check_done
        call    check_guards
        call    check_sectors
        cmp     si, packet_heads_end
        jb      .next
        group_end
        ret

packet_heads:
        dw      0x10, 0x18, 0x20
packet_heads_end:

; Counts that a call cannot have, and verify (AH=04, 44) and seek (AH=47).
test_count:
        group   "count"
        ; By LBA, 0 sectors are read well, more than 64 KiB are refused. [SeaBIOS]
        access  0x42, DATA_LBA, 0, BUFFER
        call    read_ok
        mov     si, large_counts
.lba:   lodsw
        mov     [io_count], ax
        mov     dword [wanted_status], 9
        call    read_error
        cmp     si, large_counts_end
        jb      .lba

        ; By CHS, both are refused, and AL stays as it is. [SeaBIOS]
        mov     byte [io_ah], 0x02
        mov     si, large_chs_counts
.chs:   lodsb
        mov     ah, 0
        mov     [io_count], ax
        mov     dword [wanted_status], 1
        call    read_error
        cmp     si, large_chs_counts_end
        jb      .chs

        mov     si, verify_functions
.verify:
        lodsb
        access  al, 5000, 100, BUFFER
        mov     bl, FILL_BYTE
        call    fill_buffer
        call    io
        call    check_done
        call    check_guards
        call    check_untouched
        cmp     si, verify_functions_end
        jb      .verify
        group_end
        ret

large_counts:
        dw      129, 255, 256, 0x7fff, 0x8000, 0x8001, 0xffff
large_counts_end:
large_chs_counts:
        db      0, 129, 200, 255
large_chs_counts_end:
verify_functions:
        db      0x04, 0x44, 0x47
verify_functions_end:

; A read that must fail with [wanted_status] (0 = any but success) and leave the
; buffer alone; then the disk still reads.
read_error:
        pushad
        mov     bl, FILL_BYTE
        call    fill_buffer
        call    io
        call    check_guards
        call    check_untouched
        call    check_error
        popad
        ret

; Check CF = 1, AH = [wanted_status], and that AH=01 tells the same.
check_error:
        push    eax
        expect  "CF", 1, dword [cf]
        mov     eax, [wanted_status]
        test    eax, eax
        jnz     .status
        cmp     dword [status], 1               ; any: 0 is wrong
        adc     eax, [status]
.status:
        expect  "AH", eax, dword [status]
        mov     eax, [status]
        plain   0x0100
        expect  "AH=01 AH", eax, dword [status]
        pop     eax
        ret

; The disk's end: the last sectors, accesses that start before it and end behind it,
; and such that start behind it.
test_end:
        group   "end"
        access  0x42, 0, 1, BUFFER
        mov     si, near_end
.near:  lodsw                                   ; sectors before the end = count
        mov     [io_count], ax
        movzx   eax, ax
        call    from_end
        call    read_ok
        cmp     si, near_end_end
        jb      .near

        mov     si, across_end
.across:
        lodsw                                   ; sectors before the end
        movzx   eax, ax
        mov     [inside], ax
        call    from_end
        lodsw                                   ; count
        mov     [io_count], ax
        call    read_across
        cmp     si, across_end_end
        jb      .across

        mov     dword [wanted_status], 1
        mov     cx, 1
.behind:
        mov     [io_count], cx
        xor     eax, eax
        call    from_end
        call    read_error                      ; the first that is not there
        add     dword [io_lba], 1
        adc     dword [io_lba+4], 0
        call    read_error
        mov     si, far_lbas
.far:   lodsd
        mov     [io_lba], eax
        lodsd
        mov     [io_lba+4], eax
        mov     eax, [io_lba]
        mov     edx, [io_lba+4]
        sub     eax, [hdr_sectors]
        sbb     edx, [hdr_sectors+4]
        jc      .inside
        call    read_error
.inside:
        cmp     si, far_lbas_end
        jb      .far
        add     cx, 126
        cmp     cx, 127
        jbe     .behind

        access  0x42, DATA_LBA, 127, BUFFER
        call    read_ok
        access  0x02, DATA_LBA, 127, BUFFER
        call    read_ok
        group_end
        ret

near_end:
        dw      1, 2, 3, 8, 9, 127, 128
near_end_end:
across_end:
        dw      1, 2, 1, 127, 2, 3, 64, 127, 64, 128, 126, 127, 127, 128
across_end_end:
far_lbas:
        dq      0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff
        dq      0x100000000, 0x100000040, 0x200001000, 0xffffffffffff
        dq      0x1000000000000, 0x1000000000040, 0x0080000000000000
        dq      0x7fffffffffffffff, 0x8000000000000000, 0x8000000000000040
        dq      0xffffffffffffff80, 0xffffffffffffffff
far_lbas_end:

; A read of which [inside] sectors are on the disk: it must fail; what the buffer
; holds where the disk has sectors is the driver's choice, the rest stays untouched.
read_across:
        pushad
        mov     bl, FILL_BYTE
        call    fill_buffer
        call    io
        call    check_guards
        say     "INFO read across the end: inside="
        mov     ax, [inside]
        call    hex16
        say     " n="
        mov     ax, [io_count]
        call    hex16
        say     " ah="
        mov     al, [status]
        call    hex8
        say     " moved="
        mov     ax, [done]
        call    hex16
        say     10
        movzx   eax, word [inside]
        cmp     [done], eax
        seta    bl
        movzx   ebx, bl
        expect  "more sectors moved than there are", 0, ebx
        ; The part behind the end, as a buffer of its own.
        mov     bx, [io_count]
        mov     ecx, [io_buffer]
        shl     ax, 5                           ; a sector is 32 paragraphs
        add     [io_buffer+2], ax
        mov     ax, [inside]
        sub     [io_count], ax
        call    check_untouched
        ; The sectors that it says it moved.
        mov     [io_buffer], ecx
        mov     ax, [done]
        mov     [io_count], ax
        call    check_sectors
        mov     [io_count], bx
        mov     dword [wanted_status], 0
        call    check_error
        popad
        ret

; Sectors, heads and cylinders that the geometry does not have.
test_chs_limits:
        group   "chs-limits"
        access  0x02, 0, 1, BUFFER
        mov     dword [wanted_status], 1
        xor     cx, cx                          ; cylinder 0, head 0, sector 0
        xor     dx, dx
        call    chs_error
        mov     cl, [geo_sectors]
        inc     cl
        test    cl, 63
        jz      .heads
        call    chs_error
.heads: mov     cx, 1
        mov     dh, [geo_heads]                 ; 256 heads: no more to try
        test    dh, dh
        jz      .cylinders
        call    chs_error
        mov     dh, 255
        call    chs_error
.cylinders:
        mov     dh, 0
        mov     ax, [geo_cylinders]             ; the cylinder that AH=08 hides is there,
        inc     ax                              ; the next one is not [SeaBIOS]
        cmp     ax, 1023
        ja      .end
        mov     ch, al
        mov     cl, ah
        shl     cl, 6
        or      cl, 1
        call    chs_error
        mov     cx, 0xffc1
        call    chs_error
.end:   group_end
        ret

; Read one sector at CX, DH: must fail with AH=01.
chs_error:
        pushad
        mov     bl, FILL_BYTE
        call    fill_buffer
        call    junk_registers
        mov     word [in_eax], 0x0201
        mov     [in_ecx], cx
        mov     [in_edx+1], dh
        mov     ax, [io_buffer]
        mov     [in_ebx], ax
        mov     ax, [io_buffer+2]
        mov     [in_es], ax
        call    call13
        call    check_guards
        call    check_untouched
        call    check_error
        popad
        ret


; -------------------------------------------------------------- other functions

; Functions that must be refused, that succeed and do nothing [SeaBIOS], and AH=4B,
; which answers for the CD-ROM emulation even if there is none [SeaBIOS].
test_functions:
        group   "functions"
        mov     dword [wanted_status], 1
        mov     si, refused
.refused:
        lodsw
        call    junk_registers
        mov     [in_eax], ax
        call    call13
        call    check_error
        cmp     si, refused_end
        jb      .refused

        mov     si, ignored
.ignored:
        lodsw
        call    junk_registers
        mov     [in_eax], ax
        call    call13
        call    check_success
        cmp     si, ignored_end
        jb      .ignored

        mov     dword [wanted_status], 0xb2
        plain   0x4600                          ; eject: volume not removable
        call    check_error

        mov     ax, 0x4b00                      ; end the CD-ROM emulation
        call    cdrom_emulation
        mov     ax, 0x4b01                      ; its status
        call    cdrom_emulation

        access  0x42, 4000, 127, BUFFER
        call    read_ok
        access  0x02, 4000, 127, BUFFER
        call    read_ok
        group_end
        ret

refused:
        dw      0x0600, 0x0700, 0x0a01, 0x0b01, 0x0e00, 0x1200, 0x1600, 0x1700, 0x1800
        dw      0x1900, 0x2000, 0x2100, 0x3f00, 0x4000, 0x4a00, 0x4c00, 0x4d00, 0x4e02
        dw      0x4eff, 0x4f00, 0x5000, 0x7f00, 0x8000, 0xc200, 0xee00, 0xff00, 0xffff
refused_end:
ignored:
        dw      0x0900, 0x0c00, 0x0d00, 0x1000, 0x1100, 0x1400, 0x4500, 0x4501, 0x4502
        dw      0x4900, 0x4e01, 0x4e06
ignored_end:

; AX=4B00 or 4B01: succeeds, and its 19 bytes at DS:SI say "no emulation". [SeaBIOS]
cdrom_emulation:
        pushad
        mov     [edd_room], ax
        mov     di, edd
        mov     cx, edd_end - edd
        mov     al, GUARD_BYTE
        rep     stosb
        call    junk_registers
        mov     ax, [edd_room]
        mov     [in_eax], ax
        mov     word [in_esi], edd
        call    call13
        call    check_success
        movzx   eax, byte [edd+1]
        expect  "AH=4B emulation", 0, eax
        mov     eax, GUARD_BYTE * 0x01010101
        expect  "AH=4B wrote behind its room", eax, dword [edd+32]
        popad
        ret

; Drives that are not there: every function is refused.
test_no_drive:
        group   "no-drive"
        access  0x42, DATA_LBA, 1, BUFFER
        mov     dword [wanted_status], 1
        mov     bl, [drive]
        mov     di, no_drives
.drive: mov     al, [di]
        cmp     al, 0x80
        jne     .set
        add     al, [0x475]                     ; the first that is not there
.set:   mov     [drive], al
        mov     byte [io_ah], 0x42
        call    read_error
        mov     byte [io_ah], 0x02
        call    read_error
        mov     si, all_functions
.next:  lodsb
        call    junk_registers
        mov     [in_eax+1], al
        mov     word [in_ebx], 0x55aa
        mov     word [edd], 74
        mov     word [in_esi], edd
        call    call13
        call    check_error
        cmp     si, all_functions_end
        jb      .next
        inc     di
        cmp     di, no_drives_end
        jb      .drive
        mov     [drive], bl
        plain   0x0000
        call    check_success
        group_end
        ret

no_drives:
        db      0x80, 0x9f, 0xdf
no_drives_end:
all_functions:
        db      0x00, 0x08, 0x15, 0x41, 0x48
all_functions_end:


; ---------------------------------------------------------------------- writing

; Writes to the scratch sectors by LBA and CHS, from all kinds of buffers; each is
; read back by LBA with a sector before and behind it, and by CHS.
test_write:
        group   "write"
        access  0x43, 0, 1, BUFFER
        mov     eax, [hdr_scratch]
        mov     [io_lba], eax
        mov     si, write_list
.next:  lodsd
        mov     [io_buffer], eax
        lodsw
        mov     [io_count], ax
        mov     byte [io_ah], 0x43
        call    write_and_read
        movzx   eax, word [io_count]
        add     [io_lba], eax
        mov     byte [io_ah], 0x03
        call    write_and_read
        add     [io_lba], eax
        inc     dword [io_lba]                  ; a gap
        cmp     si, write_list_end
        jb      .next

        ; Once more over parts of what was written.
        mov     eax, [hdr_scratch]
        add     eax, 5
        access  0x43, eax, 1, BUFFER
        call    write_and_read
        access  0x03, eax, 60, BUFFER
        call    write_and_read
        add     eax, 30
        access  0x43, eax, 127, BUFFER
        call    write_and_read

        ; No sectors: nothing is written. Too many: refused. [SeaBIOS]
        mov     word [io_count], 0
        call    write_ok
        mov     byte [io_ah], 0x43
        mov     word [io_count], 129
        mov     dword [wanted_status], 9
        call    write_error
        mov     byte [io_ah], 0x03
        mov     dword [wanted_status], 1
        call    write_error
        mov     word [io_count], 0
        call    write_error
        group_end
        ret

write_list:
        boundary 0x3000, 0x0200, 1
        boundary 0x3000, 0x0200, 2
        boundary 0x3000, 0x0201, 1
        boundary 0x3000, 0x0201, 7
        boundary 0x3000, 0x0202, 8
        boundary 0x3000, 0x0203, 9
        boundary 0x3000, 0x0210, 63
        boundary 0x3000, 0x03ff, 64
        boundary 0x3fe0, 0x0001, 1
        boundary 0x3fff, 0x0001, 2
        boundary 0x3000, 0xff00, 31
        boundary 0x3000, 0x8001, 127
        boundary 0x3000, 0x0200, 128
write_list_end:

; Write the access with a new generation, and read it back.
write_and_read:
        pushad
        call    write_scratch
        mov     dx, [io_count]
        mov     eax, [io_buffer]
        mov     ebx, [io_lba]
        mov     cl, [io_ah]
        mov     dword [io_buffer], BUFFER
        mov     byte [io_ah], 0x42
        call    read_ok
        cmp     dx, 126
        ja      .chs
        dec     dword [io_lba]
        add     word [io_count], 2
        call    read_ok
        mov     [io_lba], ebx
        mov     [io_count], dx
.chs:   mov     byte [io_ah], 0x02
        call    read_ok
        mov     [io_buffer], eax
        mov     [io_ah], cl
        popad
        ret

; A write that must fail with [wanted_status]. The buffer has the pattern that the
; sectors ought to have, so the host sees a write that went to a wrong place.
write_error:
        push    word [io_count]
        cmp     word [io_count], 128
        jbe     .build
        mov     word [io_count], 128
.build: call    build_sectors
        pop     word [io_count]
        call    io
        call    check_error
        ret

; Writes behind the disk's end.
test_write_end:
        group   "write-end"
        access  0x43, 0, 1, BUFFER
        mov     dword [wanted_status], 0
        mov     si, across_end
.across:
        lodsw                                   ; sectors before the end
        movzx   eax, ax
        call    from_end
        lodsw                                   ; count
        mov     [io_count], ax
        call    write_error
        cmp     si, across_end_end
        jb      .across

        mov     dword [wanted_status], 1
        mov     word [io_count], 3
        xor     eax, eax
        call    from_end
        call    write_error
        mov     si, far_lbas
.far:   lodsd
        mov     [io_lba], eax
        lodsd
        mov     [io_lba+4], eax
        mov     eax, [io_lba]
        mov     edx, [io_lba+4]
        sub     eax, [hdr_sectors]
        sbb     edx, [hdr_sectors+4]
        jc      .inside
        call    write_error
.inside:
        cmp     si, far_lbas_end
        jb      .far
        group_end
        ret

; Reads and writes of random size at random places with random buffers.
test_mixed:
        group   "mixed"
        mov     cx, 96
.next:  access  0x42, 0, 0, 0
        call    random
        and     al, 1
        jnz     .lba
        mov     byte [io_ah], 0x02
.lba:   mov     ebx, 127
        call    random_below
        inc     ax
        mov     [io_count], ax
        movzx   edx, ax
        call    random
        mov     [io_buffer], ax
        mov     word [io_buffer+2], 0x3000
        mov     bx, cx
        and     bx, 3
        jz      .write
        call    limit_chs
        sub     ebx, edx
        sub     ebx, DATA_LBA
        call    random_below
        add     eax, DATA_LBA
        mov     [io_lba], eax
        call    read_ok
        jmp     .end
.write: or      byte [io_ah], 1
        mov     ebx, SCRATCH_SECTORS
        sub     ebx, edx
        call    random_below
        add     eax, [hdr_scratch]
        mov     [io_lba], eax
        call    write_and_read
.end:   dec     cx
        jnz     .next
        group_end
        ret


; ------------------------------------------------------- memory far from a buffer

; Fill the memory that nobody uses, and note the interrupt vectors' sum.
watch_memory:
        mov     bl, GUARD_BYTE
        mov     si, quiet_areas
.next:  lodsd
        mov     ecx, eax
        lodsd
        xchg    eax, ecx
        call    fill
        cmp     si, quiet_areas_end
        jb      .next
        call    sum_vectors
        mov     [vectors_sum], eax
        ret

; Check that nobody wrote there.
test_memory:
        group   "memory"
        mov     bl, GUARD_BYTE
        mov     si, quiet_areas
.next:  lodsd
        mov     ecx, eax
        lodsd
        xchg    eax, ecx
        call    filled
        setne   dl
        movzx   edx, dl
        expect  "unused memory written", 0, edx
        cmp     si, quiet_areas_end
        jb      .next
        call    sum_vectors
        expect  "sum of the interrupt vectors", [vectors_sum], eax
        group_end
        ret

; Out: EAX = a sum of the interrupt vectors.
sum_vectors:
        push    si
        push    cx
        xor     eax, eax
        xor     si, si
        mov     cx, 256
.next:  rol     eax, 3
        add     eax, [si]
        add     si, 4
        loop    .next
        pop     cx
        pop     si
        ret

; Linear address and bytes.
quiet_areas:
        dd      0x10000, 0x11000
        dd      0x22000, 0x0e000
        dd      0x51000, 0x2f000
quiet_areas_end:

vectors_sum:    dd 0
wanted_status:  dd 0
inside:         dw 0

%include "callers.inc"

        program_pad
