; takeover: an operating system that gets no BIOS call in after its loader's last int13.
;
; One read that no cache holds, then the hint that the image's label names (none of them is
; `none`), then 32-bit protected mode for good: takeover.c looks at what the firmware has left
; of each PV device, and drives it.

%include "common.inc"

BUFFER          equ 0x30000200

main:   call    pattern_init
        group   "load"
        mov     eax, [hdr_patterned]
        shr     eax, 1
        access  0x42, eax, 64, BUFFER
        call    read_ok
        group_end

        mov     eax, [hdr_label]
        mov     si, hints
.find:  cmp     eax, [si]
        je      .found
        add     si, 6
        cmp     si, hints_end
        jb      .find
        say     "TEST FAIL takeover, unknown hint", 10
        jmp     sleep
.found: call    [si+4]

take:   say     "takeover: protected mode", 10
        cli
        lgdt    [gdt_pointer]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     8:.flat
        bits    32
.flat:  mov     ax, 16
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, 0x80000
        push    dword [failures]
        push    header
        call    os
.halt:  hlt
        jmp     .halt
        bits    16


; ------------------------------------------------------------------------ hints

hints:  dd      "none"
        dw      no_hint
        dd      "e820"
        dw      memory_map
        dd      "ec00"
        dw      target_mode
        dd      "1300"
        dw      reset_floppy
        dd      "4b00"
        dw      end_emulation
        dd      "idle"
        dw      idle
        dd      "i18"
        dw      next_device
        dd      "i19"
        dw      boot_again
        dd      "rese"
        dw      reset
        dd      "menu"
        dw      menu
hints_end:

no_hint:
        ret

; The first entry of the memory map.
memory_map:
        mov     eax, 0xe820
        xor     ebx, ebx
        mov     ecx, 20
        mov     edx, 0x534d4150                 ; "SMAP"
        mov     di, edd
        int     0x15
        ret

; The mode that the system will run in: 64 bits.
target_mode:
        mov     ax, 0xec00
        mov     bx, 2
        int     0x15
        ret

reset_floppy:
        mov     ax, 0
        mov     dl, 0
        int     0x13
        ret

; The end of El Torito's disk emulation.
end_emulation:
        mov     ax, 0x4b00
        mov     dl, [drive]
        mov     si, edd
        int     0x13
        ret

; 3 s without an int13.
idle:   mov     ecx, [0x46c]
        add     ecx, 55
.next:  sti
        hlt
        cmp     ecx, [0x46c]
        jns     .next
        ret

; Let the BIOS boot its next device, or the first one again: the first int13 that it calls for
; that comes to us.
next_device:
        call    catch_int13
        int     0x18

boot_again:
        call    catch_int13
        int     0x19

catch_int13:
        mov     word [0x13*4], .caught
        mov     word [0x13*4+2], 0
        ret
.caught:
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        jmp     take

; A warm start; what it finds is for others to look at.
reset:  mov     word [0x472], 0
        jmp     0xffff:0

; A menu, for others to do something to the machine, and another read.
menu:   say     "takeover: wait for Enter", 10
.next:  mov     ah, 0
        int     0x16
        cmp     al, 13
        jne     .next
        group   "load again"
        mov     eax, [hdr_patterned]
        shr     eax, 2
        access  0x42, eax, 64, BUFFER
        call    read_ok
        group_end
        ret


        align   8
gdt:    dq      0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
        dw      gdt_pointer - gdt - 1
        dd      gdt

        times   0xa000 - 0x7c00 - ($ - $$) db 0
os:     incbin  TAKEOVER                        ; takeover.c, linked to run here

        program_pad
