# SeaBIOS with the Xen layer
#
#   make              build out/bios-xenpv.bin (HVM guests) and out/seabios-xenpvh.elf (PVH guests)
#   make ipxe         build out/58530001.rom, iPXE for PV network devices
#   make NET=1        build out/bios-xenpv-net.bin, a blob with that ROM in it
#   make run          boot Linux from a PV disk on a real Xen (DISK=image: your own disk)
#   make shell        the same Xen with a shell in dom0
#                     TYPE=pvh: in a PVH guest, which has no device model
#                     RELEASE=trixie: the Xen and Linux of that Debian, here and for all tests on
#                     Xen, instead of those of this machine's release
#   make check        all tests
#   make check-fresh  `make run` on a new minimal Debian of each release
#   make check-workflow  there, what a forge runs: `make check`
#   make bench        all measurements, about an hour; writes docs/benchmarks.md
#   make model        the proofs of the attach protocol alone
#   make matrix       every boot loader in every mode, half an hour; writes docs/boot-matrix.md
#   make pictures     the screens of docs/console.md
#   make deb          the Debian package, out/seabios-xenpv_VERSION_all.deb
#   make install      copy both and two scripts to $(DESTDIR)$(PREFIX)/lib/seabios-xenpv
#   make clean        remove out/ (downloads stay in ~/.cache/seabios-xenpv)
#
# This file may be distributed under the terms of the GNU LGPLv3 license.

# The version of the layer; the blob calls itself SEABIOSVERSION-xenpv-VERSION.
VERSION = 0.1

# Where SeaBIOS comes from: a tree or a tarball; empty: Debian's source package.
SEABIOS =
# Where iPXE comes from, in the same way.
IPXE =
# NET=1: the blob with iPXE in it
NET =
# Configuration fragment, and further settings: make SETTINGS="CONFIG_DEBUG_LEVEL=8"
CONFIG = configs/hvm.config
CONFIG_PVH = configs/pvh.config
CONFIG_NET = configs/hvm-net.config
SETTINGS =
OUT = out
PREFIX = /usr/local

BLOB = $(OUT)/bios-xenpv.bin
PVH = $(OUT)/seabios-xenpvh.elf
NETBLOB = $(OUT)/bios-xenpv-net.bin
ROM = $(OUT)/58530001.rom
TREE = $(OUT)/seabios
PATCHES = $(sort $(wildcard patches/*.patch))
LAYER = $(wildcard src/xen/*.* src/xen/*/*)
IPXE_CHANGES = $(wildcard configs/ipxe/* patches/ipxe/*)
# the files of a tree of one's own: a change there makes a new copy
FILES = $(if $1,$(shell find $1 -name .git -prune -o -type f -print 2>/dev/null))
ORIGINAL = $(call FILES,$(SEABIOS))
IPXE_FILES = $(call FILES,$(IPXE))

# all CPUs, unless make was told how many
JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

# array-bounds: false alarms, which SeaBIOS itself turns off since 1.16.3
BUILD_SEABIOS = +$(MAKE) --no-print-directory -C $(TREE) $(JOBS) OUT=$(BUILD)/ \
    KCONFIG_CONFIG=$(abspath $(TREE))/$(CONFIGURATION) PYTHON="python3 -B" \
    CC="$(CC) -Wno-array-bounds" EXTRAVERSION=-xenpv-$(VERSION)

# which of the builds in the tree: the directory of its objects, its configuration
BUILD = out
CONFIGURATION = .config
$(PVH) $(TREE)/.config-pvh: BUILD = out-pvh
$(PVH) $(TREE)/.config-pvh: CONFIGURATION = .config-pvh
$(NETBLOB) $(TREE)/.config-net: BUILD = out-net
$(NETBLOB) $(TREE)/.config-net: CONFIGURATION = .config-net

all: $(if $(NET),$(NETBLOB),$(BLOB) $(PVH))

.PHONY: all ipxe run shell bench matrix check check-host check-build check-guests \
    check-lab check-releases check-slow check-net check-pvh check-series check-fresh \
    check-workflow pictures pvh-boots destroys model coverage mutate fuzz install deb clean FORCE
.DELETE_ON_ERROR:


################ The blob

$(BLOB): $(TREE)/.config $(LAYER) | packages-build
	$(BUILD_SEABIOS)
	cp $(TREE)/out/bios.bin $@

$(TREE)/.config: $(TREE)/.patched Kconfig.xen $(CONFIG) $(OUT)/settings
	cat $(CONFIG) $(OUT)/settings >$@
	$(BUILD_SEABIOS) olddefconfig

$(TREE)/.config-pvh: $(TREE)/.patched Kconfig.xen $(CONFIG_PVH) $(OUT)/settings
	cat $(CONFIG_PVH) $(OUT)/settings >$@
	$(BUILD_SEABIOS) olddefconfig

# The firmware of PVH guests: an entry of its own around the second build's image
$(PVH): $(TREE)/.config-pvh $(LAYER) | packages-build
	$(BUILD_SEABIOS)
	$(MAKE) --no-print-directory -C src/xen/pvh IMAGES=$(abspath $(TREE))/out-pvh
	install -m 644 $(TREE)/out-pvh/pvh.elf $@

$(TREE)/.config-net: $(TREE)/.patched Kconfig.xen $(CONFIG_NET) $(OUT)/settings
	cat $(CONFIG_NET) $(OUT)/settings >$@
	$(BUILD_SEABIOS) olddefconfig

# A blob for Xen's HVM guests alone, with iPXE's ROM in its front
$(NETBLOB): $(TREE)/.config-net $(LAYER) $(ROM) scripts/blob-files | packages-build
	$(BUILD_SEABIOS)
	cp $(TREE)/out-net/bios.bin $@
	scripts/blob-files add $@ pci5853,0001.rom=$(ROM)

# A patched copy of SeaBIOS. The layer is linked in, so that a change there needs no new copy.
$(TREE)/.patched: $(OUT)/origin $(ORIGINAL) $(PATCHES) scripts/copy-seabios | packages-build
	source="$(SEABIOS)"; [ -n "$$source" ] || source=`scripts/fetch-source seabios` || exit; \
	scripts/copy-seabios "$$source" $(TREE)
	for patch in $(PATCHES); do \
	    patch -d $(TREE) -p1 -F0 --no-backup-if-mismatch -s <$$patch || exit; done
	ln -sr src/xen $(TREE)/src/
	ln -sr Kconfig.xen $(TREE)/
	touch $@

# What was asked for on the command line; these files change only when it does. `make install`
# alone takes what was built, whatever that was.
ASKED = $(strip $(foreach name,SEABIOS SETTINGS IPXE CONFIG CONFIG_PVH CONFIG_NET, \
    $(filter command%,$(origin $(name)))))
INSTALL = $(if $(ASKED),,$(filter install,$(MAKECMDGOALS)))
$(OUT)/origin: text = $(SEABIOS) $(VERSION) $(PATCHES)
$(OUT)/settings: text = '\# $(CONFIG) $(CONFIG_PVH) $(CONFIG_NET)' $(SETTINGS)
$(OUT)/ipxe-origin: text = $(IPXE) $(IPXE_CHANGES)
$(OUT)/origin $(OUT)/settings $(OUT)/ipxe-origin: $(if $(INSTALL),,FORCE)
	@mkdir -p $(OUT)
	@printf '%s\n' $(text) | cmp -s - $@ || printf '%s\n' $(text) >$@

# iPXE's ROM; its licence is beside it
ipxe: $(ROM)

$(ROM): $(OUT)/ipxe-origin $(IPXE_FILES) $(IPXE_CHANGES) scripts/build-ipxe | packages-ipxe
	source="$(IPXE)"; [ -n "$$source" ] || source=`scripts/fetch-source ipxe` || exit; \
	scripts/build-ipxe "$$source" $(OUT)/ipxe $@

# Debian packages that are missing: packages-build, packages-host, packages-lab, packages-bench,
# packages-deb, packages-ipxe, packages-fresh
packages-%: FORCE
	@tests/lab/packages $*


################ Running it

# the blob for tests/lab and tests/guests
run shell check-guests check-lab check-net check-releases check-slow check-series: \
    export BIOS = $(abspath $(BLOB))

# TYPE: hvm or pvh
TYPE = hvm
FIRMWARE_hvm = $(BLOB)
FIRMWARE_pvh = $(PVH)
FIRMWARE = $(or $(FIRMWARE_$(TYPE)),$(error TYPE=$(TYPE): hvm or pvh))

run: $(BLOB) $(PVH) | packages-lab
	@tests/lab/run --bios $(FIRMWARE) $(DISK)

shell: $(BLOB) $(PVH) | packages-lab
	@tests/lab/run --shell --bios $(FIRMWARE) $(DISK)


################ Tests: each part leaves JUnit XML in out/results/PART

RESULTS = $(abspath $(OUT))/results
PYTEST = mkdir -p $(OUT); /usr/bin/python3 -B -m pytest -q -rs --tb=short -p no:cacheprovider \
    --basetemp=$(abspath $(OUT))/tmp-$@ --junitxml=$(RESULTS)/$@/pytest.xml

check: | packages-build packages-host packages-lab
	+@MAKE="$(MAKE)" tests/check $(RESULTS) \
	    check-host check-build check-guests check-lab check-releases

# The layer's own code on this machine, without Xen
check-host: $(BLOB) | packages-host
	rm -rf $(RESULTS)/$@
	$(MAKE) -k $(JOBS) -Oline --no-print-directory -C tests/unit check TREE=$(abspath $(TREE)) \
	    OUT=$(abspath $(OUT))/unit RESULTS=$(RESULTS)/$@

# A proof of the attach protocol, which check-host runs too
model: | packages-host
	tests/model/check $(abspath $(OUT))/unit/model $(RESULTS)/$@

# This Makefile with the default SeaBIOS, the patches and the layer on that of several releases
check-build: | packages-build packages-lab
	$(PYTEST) -n 2 --dist loadfile -m "not slow" tests/build

# The blob in QEMU without Xen
check-guests: $(BLOB) | packages-lab
	$(PYTEST) -n 2 tests/guests

# The blob on a real Xen: two labs at a time, each has one CPU
check-lab: $(BLOB) $(PVH) | packages-lab
	$(PYTEST) -n 2 --dist loadfile -m "not slow" tests/lab

# Those of them that can be run in PVH guests, there; not a part of `check`, which has test_pvh.py
check-pvh: $(PVH) | packages-lab
	BIOS=$(abspath $(PVH)) $(PYTEST) -n 2 --dist loadfile -m "pvh and not slow" tests/lab

# The pictures of docs/console.md, from what a terminal gets in the tests
pictures: $(PVH) | packages-lab
	PICTURES=docs $(PYTEST) -k "by_console_alone or prompt_and_menu" tests/lab/test_console.py

# Boot from the network, by iPXE's ROM too; a part of it is in check-lab
check-net: $(BLOB) $(NETBLOB) | packages-lab
	$(PYTEST) tests/lab/test_network.py tests/lab/test_netboot.py

# Some of that on the Xen of the other Debian releases, what is marked with `release`
check-releases: $(BLOB) $(PVH) | packages-lab
	status=0; for release in `/usr/bin/python3 -B tests/lab/releases.py`; do \
	    export RELEASE=$$release; $(PYTEST:pytest.xml=$$release.xml) -n 2 --dist loadfile \
	        -m "release and not slow" tests/lab || status=1; done; exit $$status

# What the host tests reach of the layer; a break of it in a hundred ways; new inputs
coverage: $(BLOB) | packages-host
	$(MAKE) -C tests/unit coverage TREE=$(abspath $(TREE))

# RANDOM=200 makes so many breaks up instead (SEED=: the same ones again)
RANDOM =
SEED =
mutate: $(BLOB) | packages-host
	tests/sim/mutate$(if $(RANDOM),-random) -j 2 $(if $(RANDOM),$(SEED:%=-s %) $(RANDOM)) \
	    $(abspath $(TREE)) $(abspath $(OUT))/mutate

TIME = 60
fuzz: $(BLOB) | packages-host
	$(MAKE) -C tests/fuzz fuzz TREE=$(abspath $(TREE)) TIME=$(TIME)

# What takes minutes there; not a part of `check`
check-slow: $(BLOB) $(PVH) | packages-lab
	$(PYTEST) -m "slow" tests/lab --ignore tests/lab/test_netboot.py

# BOOTS boots of each form of Linux in PVH guests, with and without a wait for a key before; what
# is kept of a failure is in out/boots
BOOTS = 300
pvh-boots: $(PVH) | packages-lab
	@tests/lab/pvh_boots.py $(BOOTS)

# DESTROYS guests that write are destroyed at random moments: what int13 reported is in the image
DESTROYS = 200
destroys: $(BLOB) $(PVH) | packages-lab
	@tests/lab/writes.py $(DESTROYS)

# The series of patches: on all releases of SEABIOS=tree of git, too; the layer boots after each one
check-series: $(BLOB) | packages-build packages-lab
	$(PYTEST) tests/build/test_patches.py tests/lab/test_series.py

# `make run` on new minimal systems of each release, from nothing; not a part of `check`
check-fresh: | packages-lab
	@tests/lab/fresh

# The steps of .github/workflows/check.yml there (SUITE=trixie: on that release alone)
SUITE =
check-workflow: | packages-lab packages-fresh
	@tests/lab/fresh --workflow $(SUITE)

# What each boot loader leaves behind; not a part of `check`
matrix: | packages-build packages-lab
	@tests/matrix/run

# How fast the layer is, and how fast other ways to read a disk are; not a part of `check`
bench: $(ROM) | packages-build packages-lab packages-bench
	@tests/bench/run


################ Other

install: $(BLOB) $(PVH) $(if $(NET),$(NETBLOB))
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/seabios-xenpv $(BLOB) $(PVH) \
	    $(if $(NET),$(NETBLOB) $(ROM) $(ROM).COPYING)
	install -m 755 scripts/smbios-strings scripts/blob-files $(DESTDIR)$(PREFIX)/lib/seabios-xenpv
	@echo
	@echo 'For the HVM guests that are to boot from PV disks, in xl.cfg:'
	@echo '    bios = "seabios"'
	@echo '    bios_path_override = "$(PREFIX)/lib/seabios-xenpv/bios-xenpv.bin"'
	@echo
	@echo 'For PVH guests:'
	@echo '    type = "pvh"'
	@echo '    kernel = "$(PREFIX)/lib/seabios-xenpv/seabios-xenpvh.elf"'

# The Debian package, built in a copy of what it is made of
SOURCES = Makefile Kconfig.xen configs patches scripts src debian docs/seabios-xenpv.7 \
    tests/lab/packages
DEB = $(OUT)/seabios-xenpv_$(VERSION)_all.deb

deb: $(DEB)

$(DEB): $(BLOB) $(shell find $(SOURCES) -type f 2>/dev/null) | packages-deb
	$(if $(filter command%,$(origin CONFIG) $(origin CONFIG_PVH)),$(error deb: the package has \
	    the configurations of configs/; further settings are SETTINGS=))
	rm -rf $(OUT)/deb
	mkdir -p $(OUT)/deb/source
	cp -r --parents $(SOURCES) $(OUT)/deb/source
	cd $(OUT)/deb/source && env -u MAKEFLAGS -u MAKELEVEL -u OUT \
	    SEABIOS="$(abspath $(SEABIOS))" SETTINGS="$(SETTINGS)" \
	    dpkg-buildpackage -b -us -uc >../log 2>&1 || { cat ../log; exit 1; }
	mv $(OUT)/deb/$(@F) $@
	rm -rf $(OUT)/deb

clean:
	rm -rf $(OUT)
