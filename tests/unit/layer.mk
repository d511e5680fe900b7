# How to compile files of the layer for this machine: unchanged, 32-bit, with
# SeaBIOS's own headers, and with sanitizers. A Makefile sets TREE (a built
# SeaBIOS tree), LAYER (src/xen), OUT and SIM, and includes this.
#
# What only a BIOS may do is replaced in the assembler text: the privileged
# instructions become calls, and the names that SeaBIOS shares with the C
# library get a prefix.
#
# This file may be distributed under the terms of the GNU LGPLv3 license.

# the simulated Xen, in tests/sim
SIM = machine hypervisor step store tree backend backend_states image twin guest

# SeaBIOS counts from null pointers (list.h) and shifts into the sign on purpose
SANITIZE = -fsanitize=address,undefined -fno-sanitize=pointer-overflow,shift-base \
    -fno-sanitize-recover=all
# arrays at the end of a structure, too, but where that is as long as its page or file
STRICT = -fsanitize=bounds-strict
%/blkring.o %/blobfiles.o: STRICT =
OPTIMIZE = -O1

# the host's side: its own <string.h>, SeaBIOS's "string.h"
HOST_FLAGS = -m32 -std=gnu11 $(OPTIMIZE) -g -Wall -Wno-unused-function -fno-pie -fno-omit-frame-pointer \
    -iquote $(TREE)/out -iquote $(TREE)/src -iquote $(LAYER) -DMODE16=0 -DMODESEGMENT=0 $(SANITIZE) \
    $(if $(MEASURE),-DCOVERAGE)

# the simulated Xen looks at every byte: without sanitizers that is several times
# as fast, and nobody looks for its errors
SIM_FLAGS = $(filter-out $(SANITIZE) $(OPTIMIZE),$(HOST_FLAGS)) -O2

LAYER_FLAGS = -m32 -march=i386 -std=gnu11 $(OPTIMIZE) -g -Wall -ffreestanding -fno-pie -fno-omit-frame-pointer \
    -fno-strict-aliasing -I$(TREE)/out -I$(TREE)/src -DMODE16=0 -DMODESEGMENT=0 $(SANITIZE) \
    $(if $(SANITIZE),$(STRICT)) $(MEASURE) -fmacro-prefix-map=$(LAYER)=xen

REPLACE = -e 's/^\t(cpuid|rdtsc|wrmsr)$$/\tcall sim_\1/' \
    -e 's/^\tinb %dx, %al$$/\tcall sim_inb/' -e 's/^\toutb %al, %dx$$/\tcall sim_outb/' \
    -e 's/^\tinl %dx, %eax$$/\tcall sim_inl/'
RENAME = $(foreach name,snprintf free,--redefine-sym $(name)=bios_$(name)) \
    --globalize-symbol=RomfileRoot

# there is no screen: what is shown there goes to the debug port only
BIOS_ONLY = --redefine-sym printf=bios_printf

# variables of the layer, apart from those of the host's side (test_change.c, sim_stop())
LAYER_ONLY = --redefine-sym printf=__dprintf \
    --rename-section .data=layer_data --rename-section .bss=layer_bss

# $(1) is the directory of the sources, $(2) of the objects
define compile_bios
$(OUT)/$(2)/%.o: $(1)/%.c $(wildcard $(LAYER)/*.h)
	@mkdir -p $$(@D)
	@$$(CC) $$(LAYER_FLAGS) -S -o $$(@:.o=.s) $$<
	@sed -i -E $$(REPLACE) $$(@:.o=.s)
	@$$(CC) -m32 -c -o $$@ $$(@:.o=.s)
	@objcopy $$(RENAME) $(if $(filter $(LAYER),$(1)),$$(LAYER_ONLY),$$(BIOS_ONLY)) $$@
endef
$(eval $(call compile_bios,$(LAYER),xen))
