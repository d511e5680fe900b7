; pci: the PCI BIOS (int1a AH=B1) of a PVH guest: one device, the Xen platform device at 00:00.0,
; whose registers nobody can write, or none if the header's label is `none`. Needs Xen, in PVH.

%include "common.inc"

; pci "what", AX, CX, wanted AH: a call with BX, EDX, ESI and DI as they are; CF as AH says. ECX
; is what it answers.
%macro  pci 4
        mov     ax, %2
        mov     ecx, %3
        stc
        int     0x1a
        call    keep
        expect  %1, %4, dword [answer]
        expect  {"carry of ", %1}, (%4 != 0), dword [carry]
%endmacro

main:   xor     esi, esi
        mov     bx, 0xffff
        pci     "B101", 0xb101, 0, 0
        expect  "B101 EDX", "PCI ", edx
        movzx   ebx, bx
        expect  "B101 BX", 0x210, ebx
        and     ecx, 0xff
        expect  "B101 last bus", 0, ecx

        movzx   edi, di
        expect  "B101 EDI", 0, edi
        cmp     dword [hdr_label], "none"
        je      none

        mov     bx, 0xffff
        mov     edx, 0x5853
        pci     "B102", 0xb102, 1, 0
        movzx   ebx, bx
        expect  "B102 BX", 0, ebx
        inc     si
        pci     "B102 of a second one", 0xb102, 1, 0x86
        dec     si
        mov     edx, 0x8086
        pci     "B102 of another vendor", 0xb102, 1, 0x86
        pci     "B103", 0xb103, 0xff8000, 0
        pci     "B103 of another class", 0xb103, 0x020000, 0x86

        xor     bx, bx
        xor     edi, edi
        pci     "B10A", 0xb10a, 0, 0
        expect  "B10A ECX", 0x00015853, ecx
        pci     "B109", 0xb109, 0, 0
        expect  "B109 CX", 0x5853, ecx
        inc     di
        pci     "B108", 0xb108, 0, 0
        expect  "B108 CL", 0x58, ecx
        pci     "B109 at an odd place", 0xb109, 0, 0
        expect  "B109 CX at an odd place", 0x5853, ecx
        inc     di
        pci     "B109 of the device", 0xb109, 0, 0
        expect  "B109 CX of the device", 1, ecx
        mov     di, 0x14
        pci     "B10D", 0xb10d, 0xffffffff, 0
        pci     "B10A of BAR 1", 0xb10a, 0, 0
        expect  "BAR 1", 0xfe700000, ecx
        mov     bx, 8                   ; 00:01.0
        pci     "B10A of nothing", 0xb10a, 0, 0
        expect  "B10A ECX of nothing", 0xffffffff, ecx
        xor     bx, bx
        pci     "B10E", 0xb10e, 0, 0x81
        jmp     end

none:   mov     edx, 0x5853
        pci     "B102 of none", 0xb102, 1, 0x86
        pci     "B103 of none", 0xb103, 0xff8000, 0x86
        xor     bx, bx
        xor     edi, edi
        pci     "B10A of none", 0xb10a, 0, 0
        expect  "B10A ECX of none", 0xffffffff, ecx
end:    finish  "pci"

; Keep AH and the carry; all registers stay.
keep:   pushf
        pop     word [flags]
        mov     [answer], ah
        mov     byte [carry], 0
        test    byte [flags], 1
        jz      .end
        mov     byte [carry], 1
.end:   ret

flags:  dw      0
answer: dd      0
carry:  dd      0

        program_pad
