; hook: waits by the BIOS (int15 86) while a hook of INT 1C reads the disk by int13 at each
; tick, each time somewhere else. The header's delay is how long, in ms.
;   HOOK calls=N errors=N

%include "common.inc"

STEP            equ 997                 ; sectors from one read to the next

main:   mov     eax, [0x1c*4]
        mov     [old_vector], eax
        cli
        mov     dword [0x1c*4], hook    ; segment 0
        sti
        mov     eax, [hdr_delay]
        xor     edx, edx
        mov     ecx, 1000
        div     ecx
        mov     ebp, eax
.next:  mov     cx, 1000000 >> 16
        mov     dx, 1000000 & 0xffff
        mov     ah, 0x86
        int     0x15
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
        say     10
        group   "hook"
        expect  "errors", 0, [errors]
        group_end
        finish  "hook"

; The hook; a tick that comes while it reads is not for it.
hook:   cmp     byte [cs:inside], 0
        jne     .end
        mov     byte [cs:inside], 1
        pushad
        push    ds
        xor     ax, ax
        mov     ds, ax
        mov     eax, [ahead.lba]
        add     eax, STEP
        cmp     eax, 8192
        jb      .inside
        sub     eax, 8192
.inside:
        mov     [ahead.lba], eax
        mov     si, ahead
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

                align   4
old_vector:     dd 0
calls:          dd 0
errors:         dd 0
inside:         db 0
                align   4
ahead:          dw 0x10, 1, 0, 0x1000
.lba:           dq 0

        program_pad
