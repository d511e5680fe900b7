; stream: reads all hard disks from the pattern's begin to its end, for a look at what happens
; to reads when something happens to the machine.
;   STREAM 80 0000000000000840
; is printed about once for each MiB: the drive, and where the next read begins. A read of 127
; sectors starts at each multiple of the header's limit of sectors for `bench`, so 127 reads all
; of them. With the label `reboot` the program ends with a reset by way of the BIOS.

%include "common.inc"

BUFFER          equ 0x30000200
COUNT           equ 127

main:   call    pattern_init
        movzx   cx, byte [0x475]                ; hard disks
        mov     byte [drive], 0x80
.next:  group   "stream"
        call    stream
        group_end
        inc     byte [drive]
        loop    .next
        cmp     dword [hdr_label], "rebo"
        jne     .end
        cmp     dword [failures], 0
        jne     .end
        say     "TEST PASS stream", 10
        mov     word [0x472], 0
        jmp     0xffff:0
.end:   finish  "stream"

; Read one drive.
stream: pushad
        mov     esi, DATA_LBA
        mov     edi, esi
.next:  lea     eax, [esi+COUNT]
        cmp     eax, [hdr_patterned]
        ja      .end
        cmp     esi, edi
        jb      .read
        say     "STREAM "
        mov     al, [drive]
        call    hex8
        say     " "
        mov     eax, esi
        xor     edx, edx
        call    hex64
        say     10
        lea     edi, [esi+2048]
.read:  access  0x42, esi, COUNT, BUFFER
        call    read_ok
        add     esi, [hdr_bench_sectors]
        jmp     .next
.end:   popad
        ret

        program_pad
