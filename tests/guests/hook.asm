; hook: waits by the BIOS (int15 86) while a hook of INT 1C reads the disk by int13 at each
; eighth tick, each time somewhere else. The header's delay is how long, in ms.
;   HOOK calls=N errors=N nested=N
; where `nested` are ticks that came while the hook was reading: none, as on hardware, where IRQ 0 is
; in service meanwhile. With the label "left" the hook never returns, and ticks have to go on:
;   HOOK left, ticks=N

%include "common.inc"

STEP            equ 997                 ; sectors from one read to the next
RANGE           equ 65536               ; where they are, more than a cache holds

main:   mov     eax, [0x1c*4]
        mov     [old_vector], eax
        cmp     dword [hdr_label], "left"
        je      left
        cli
        mov     dword [0x1c*4], hook    ; segment 0
        sti
        mov     eax, [hdr_delay]
        xor     edx, edx
        mov     ecx, 1000
        div     ecx
        mov     ebp, eax
.next:  call    second
        dec     ebp
        jnz     .next
        cli
        mov     eax, [old_vector]
        mov     [0x1c*4], eax
        sti

        say     "HOOK calls="
        mov     eax, [calls]
        call    dec32
        say     " errors="
        mov     eax, [errors]
        call    dec32
        say     " nested="
        mov     eax, [nested]
        call    dec32
        say     10
        group   "hook"
        expect  "errors", 0, [errors]
        expect  "nested", 0, [nested]
        group_end
        finish  "hook"

left:   mov     dword [0x1c*4], leave   ; segment 0
.wait:  call    second
        jmp     .wait
leave:  xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, 0x7c00
        mov     eax, [old_vector]
        mov     [0x1c*4], eax
        sti
        mov     ebx, [0x46c]
        mov     ebp, 90                 ; seconds
.wait:  call    second
        mov     eax, [0x46c]
        sub     eax, ebx
        dec     ebp
        jz      .end
        cmp     eax, 36
        jb      .wait
.end:   say     "HOOK left, ticks="
        call    dec32
        say     10
        cmp     eax, 36
        setae   al
        movzx   eax, al
        group   "left"
        expect  "ticks go on", 1, eax
        group_end
        finish  "hook"

; Wait for a second, by int15 86.
second: mov     cx, 1000000 >> 16
        mov     dx, 1000000 & 0xffff
        mov     ah, 0x86
        int     0x15
        ret

hook:   cmp     byte [cs:inside], 0
        jne     .nested
        inc     byte [cs:ticks]
        test    byte [cs:ticks], 7
        jnz     .end
        mov     byte [cs:inside], 1
        pushad
        push    ds
        xor     ax, ax
        mov     ds, ax
        mov     eax, [place.lba]
        sub     eax, STEP               ; backwards: nobody has read that ahead
        jnb     .inside
        add     eax, RANGE
.inside:
        mov     [place.lba], eax
        mov     si, place
        mov     dl, [drive]
        mov     ah, 0x42
        int     0x13
        jnc     .good
        inc     dword [errors]
.good:  inc     dword [calls]
        pop     ds
        popad
        mov     byte [cs:inside], 0
.end:   jmp     far [cs:old_vector]
.nested:
        inc     dword [cs:nested]
        jmp     far [cs:old_vector]

                align   4
old_vector:     dd 0
calls:          dd 0
errors:         dd 0
nested:         dd 0
inside:         db 0
ticks:          db 0
                align   4
place:          dw 0x10, 1, 0, 0x1000
.lba:           dq 0

        program_pad
