; clock: the BIOS's time, seen by programs that wait in several ways, each for as long as
; the header says (ms). The TSC is the judge.
;   CLOCK spin ms=6000 ticks=109
; ms is what has passed by the TSC, ticks what 40:6C has counted meanwhile; `calls` is how
; often a hook or a loop ran. "CLOCK khz=N" comes first: TSC ticks in a ms, by Xen's CPUID leaf.
; Needs Xen.

%include "common.inc"

TICKS           equ 0x46c
LEAF            equ 0x40000003          ; its ECX: TSC frequency in kHz (arch-x86/cpuid.h)

; measure "name", what: call `what` again and again for the time; it keeps EBP, which counts.
%macro  measure 2
        mov     word [step], %2
        call    run_measure
        call    report
        db      %1, 0
%endmacro

main:   mov     eax, LEAF
        xor     ecx, ecx
        cpuid
        mov     [khz], ecx
        say     "CLOCK khz="
        mov     eax, ecx
        call    dec32
        say     10

        call    set_and_read
        measure "spin", nothing
        measure "halt", halt
        measure "int1a", read_ticks

        mov     eax, [0x1c*4]
        mov     [old_vector], eax
        mov     dword [0x1c*4], hook    ; segment 0
        measure "hook-1c", halt_hooked
        measure "hook-1c-int1a", ticks_hooked
        mov     eax, [old_vector]
        mov     [0x1c*4], eax
        mov     eax, [8*4]
        mov     [old_vector], eax
        mov     dword [8*4], hook
        measure "hook-08", halt_hooked
        measure "hook-08-int16", key_hooked
        mov     eax, [old_vector]
        mov     [8*4], eax

        measure "poll-key", poll_key
        call    hint                    ; the timer is disarmed now
        measure "int1a-after-hint", read_ticks
        measure "poll-key-after-hint", poll_key
        measure "halt-after-poll", halt

        ; int15 86
        call    begin
        call    delay
        mov     ah, 0x86
        int     0x15
        setc    al
        movzx   eax, al
        expect  "int15 86 CF", 0, eax
        call    report
        db      "int15-86", 0

        ; int15 83
        mov     byte [flag], 0
        call    begin
        call    delay
        mov     bx, flag
        mov     ax, 0x8300
        int     0x15
        setc    al
        movzx   eax, al
        expect  "int15 83 CF", 0, eax
.wait:  sti
        hlt
        inc     ebp
        test    byte [flag], 0x80
        jz      .wait
        call    report
        db      "int15-83", 0

        ; int1a 02: seconds
        call    second
        call    begin
        mov     ebp, eax
.more:  call    passed
        cmp     eax, [hdr_delay]
        jb      .more
        call    second
        sub     eax, ebp
        jns     .same
        add     eax, 3600
.same:  mov     ebp, eax
        call    report
        db      "seconds", 0
        finish  "clock"


; Set date and time, read them back, and say what they were (BCD, as the BIOS has them).
set_and_read:
        group   "set"
        mov     ah, 4
        int     0x1a
        say     "CLOCK date="
        mov     ax, cx
        call    hex16
        mov     ax, dx
        call    hex16
        push    cx
        push    dx
        mov     ah, 2
        int     0x1a
        say     " time="
        mov     ax, cx
        call    hex16
        mov     al, dh
        call    hex8
        say     10
        mov     cx, 0x2359
        mov     dx, 0x5900
        mov     ah, 3
        int     0x1a
        mov     cx, 0x2024
        mov     dx, 0x0229
        mov     ah, 5
        int     0x1a
        mov     ah, 4
        int     0x1a
        shl     ecx, 16
        mov     cx, dx
        expect  "date set", 0x20240229, ecx
        mov     ah, 2
        int     0x1a
        movzx   ecx, cx
        expect  "time set", 0x2359, ecx
        pop     dx                      ; the date as it was, the time as it is now
        pop     cx
        mov     ah, 5
        int     0x1a
        mov     cx, 0x1234
        mov     dx, 0x5678
        mov     ah, 1
        int     0x1a
        mov     ah, 0
        int     0x1a
        shl     ecx, 16
        mov     cx, dx
        and     cl, 0xf0
        expect  "ticks set", 0x12345670, ecx
        mov     cx, 0
        mov     dx, 0
        mov     ah, 1
        int     0x1a
        group_end
        ret

; The second of the hour. Out: EAX.
second: push    ecx
        push    edx
        mov     ah, 2
        int     0x1a
        movzx   eax, cl
        call    binary
        imul    ecx, eax, 60
        movzx   eax, dh
        call    binary
        add     eax, ecx
        pop     edx
        pop     ecx
        ret

; EAX: BCD to binary.
binary: push    edx
        mov     edx, eax
        shr     edx, 4
        imul    edx, edx, 10
        and     eax, 15
        add     eax, edx
        pop     edx
        ret

; Start to measure. Changes EBP: 0.
begin:  push    eax
        push    edx
        xor     ebp, ebp
        mov     [hooked], ebp
        mov     eax, [TICKS]
        mov     [start_ticks], eax
        rdtsc
        mov     [start_tsc], eax
        mov     [start_tsc+4], edx
        pop     edx
        pop     eax
        ret

; Out: EAX = ms since begin.
passed: push    edx
        rdtsc
        sub     eax, [start_tsc]
        sbb     edx, [start_tsc+4]
        div     dword [khz]
        pop     edx
        ret

run_measure:
        call    begin
.next:  call    [step]
        call    passed
        cmp     eax, [hdr_delay]
        jb      .next
        ret

; Print the line; its name stands behind the call.
report: call    passed
        mov     ebx, [TICKS]
        sub     ebx, [start_ticks]
        say     "CLOCK "
        pop     si
        call    puts
        push    si
        say     " ms="
        call    dec32
        say     " ticks="
        mov     eax, ebx
        call    dec32
        say     " calls="
        mov     eax, ebp
        call    dec32
        say     10
        ret


; ------------------------------------------------------------------ ways to wait

nothing:
        sti
        inc     ebp
        ret

halt:   sti
        hlt
        inc     ebp
        ret

read_ticks:
        mov     ah, 0
        int     0x1a
        inc     ebp
        ret

poll_key:
        mov     ah, 1
        int     0x16
        inc     ebp
        ret

; The same, where the hook counts.
halt_hooked:
        sti
        hlt
        mov     ebp, [hooked]
        ret

ticks_hooked:
        mov     ah, 0
        int     0x1a
        mov     ebp, [hooked]
        ret

key_hooked:
        mov     ah, 1
        int     0x16
        mov     ebp, [hooked]
        ret

; A program's own handler, in front of the one that was there.
hook:   inc     dword [cs:hooked]
        jmp     far [cs:old_vector]

; CX:DX = the microseconds to wait.
delay:  mov     eax, [hdr_delay]
        imul    eax, eax, 1000
        mov     dx, ax
        shr     eax, 16
        mov     cx, ax
        ret

; What an OS's loader does last: the memory map.
hint:   mov     eax, 0xe820
        xor     ebx, ebx
        mov     ecx, 20
        mov     edx, 0x534d4150                 ; "SMAP"
        mov     di, map
        int     0x15
        ret

        align   4
khz:            dd 0
step:           dw 0
flag:           db 0
                align 4
start_ticks:    dd 0
start_tsc:      dq 0
old_vector:     dd 0
hooked:         dd 0
map:            times 20 db 0

        program_pad
