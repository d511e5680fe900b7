; steps: one int13 call at a time, with a pause after each in which the host looks at
; the device.
;   STEP 1 small read
; is printed when the call has ended; the pause (header, ms) begins then. With the label `keys`
; it lasts until somebody presses Enter.

%include "common.inc"

BUFFER          equ 0x30000200

; step "text": end a step.
%macro  step 1+
        say     "STEP ", %1, 10
        call    pause
%endmacro

main:   call    pattern_init
        group   "steps"
        step    "0 booted"

        access  0x42, DATA_LBA, 1, BUFFER
        call    read_ok
        step    "1 small read"

        mov     eax, [hdr_patterned]    ; beyond what the small read brings
        shr     eax, 2
        imul    eax, eax, 3
        access  0x42, eax, 127, BUFFER
        call    read_ok
        step    "2 far read"

        mov     eax, [hdr_scratch]
        access  0x43, eax, 1, BUFFER
        call    write_scratch
        step    "3 write"

        call    get_geometry
        expect  "AH=08 CF", 0, dword [cf]
        step    "4 geometry"

        call    junk_registers
        mov     byte [in_eax+1], 0x00
        call    call13
        expect  "AH=00 CF", 0, dword [cf]
        step    "5 reset"

        mov     eax, [hdr_patterned]    ; beyond what the small read brings
        shr     eax, 2
        imul    eax, eax, 3
        access  0x42, eax, 127, BUFFER
        call    read_ok
        step    "6 same read"

        mov     eax, [hdr_patterned]
        shr     eax, 1
        access  0x42, eax, 127, BUFFER
        call    read_ok
        step    "7 new read"

        group_end
        finish  "steps"

; Sleep [hdr_delay] ms by the BIOS's clock (55 ms), or until Enter is pressed, with the CPU free
; for others.
pause:  pushad
        cmp     dword [hdr_label], "keys"
        je      .key
        mov     eax, [hdr_delay]
        xor     edx, edx
        mov     ebx, 55
        div     ebx
        lea     ecx, [eax+1]
        add     ecx, [0x46c]
.next:  sti
        hlt
        mov     eax, [0x46c]
        sub     eax, ecx
        js      .next
        popad
        ret
.key:   mov     ah, 0
        int     0x16
        cmp     al, 13
        jne     .key
        popad
        ret

        program_pad
