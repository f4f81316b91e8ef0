# SPDX-License-Identifier: BSD-3-Clause
#
# make            build ./microvm, ./microvm-ctl and ./microvm-blk
# make run        install missing packages, build, boot a guest (KERNEL=FILE)
# make check      install missing packages, run every test
# make check-arm64  cross-build for aarch64 and boot in an emulated arm64 host
# make CC=clang   the same with another compiler
# make SHARED=1   the same with liburing, json-c and libfdt as shared libraries
# make WERROR=1   the same, but a warning is an error, as in `make check`
# make budget     print and check the size and start-up budgets
# make help       all targets and variables

HOST     := $(shell uname -m)
ARCH     ?= $(HOST)
# Cross builds: the target's tool prefix, and a directory of their own for everything they produce.
CROSS    := $(if $(filter $(HOST),$(ARCH)),,$(ARCH)-linux-gnu)
VARIANT  ?= release
BUILD    := build$(if $(CROSS),/$(ARCH))
PLACE    := $(if $(CROSS),$(BUILD)/)
SYSROOT  := $(if $(CROSS),$(BUILD)/sysroot)
OBJ      := $(BUILD)/$(VARIANT)
V        ?= 0
Q        := $(if $(filter 1,$(V)),,@)
export LC_ALL := C

# ---- how each variant is compiled -----------------------------------------------------------

# CC on the command line or in the environment replaces gcc; make's own default of CC is not used.
GIVEN_CC      := $(if $(filter default,$(origin CC)),,$(CC))
CC_release    := $(or $(GIVEN_CC),$(if $(CROSS),$(CROSS)-)gcc)
# For programs that run during the build.
BUILD_CC      := $(or $(if $(CROSS),,$(GIVEN_CC)),gcc)
CC_gcc-asan   := gcc
CC_gcc-tsan   := gcc
CC_clang-asan := clang
CC_clang-tsan := clang
CC_coverage   := clang
# VARIANT=clang shows clang's warnings for another architecture's code. It is not linked: the
# cross-linking tools are those of gcc.
CC_clang      := clang $(if $(CROSS),--target=$(CROSS) -isystem /usr/$(CROSS)/include)
COMPILER      := $(or $(CC_$(VARIANT)),$(error unknown VARIANT=$(VARIANT)))

ASAN := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
TSAN := -O1 -fsanitize=thread -fno-omit-frame-pointer
# All symbols are bound at the start, so that a PLT would be of no use. On x86_64 the first of the two
# options about unwind tables removes all unwind tables; aarch64 needs both.
MODE_release    := -O2 -D_FORTIFY_SOURCE=2 -fno-plt -fno-asynchronous-unwind-tables -fno-unwind-tables
MODE_gcc-asan   := $(ASAN)
MODE_clang-asan := $(ASAN)
MODE_gcc-tsan   := $(TSAN)
MODE_clang-tsan := $(TSAN)
MODE_coverage   := -O1
# Its objects are never used, and optimizing them shows no further warnings.
MODE_clang      := -O0 -Qunused-arguments

# Most of a test file runs once, so that optimizing it would take longer than it saves. The
# exhaustive tests are loops of many rounds. Tests of memory ordering and races are short sequences in
# which two threads must meet, and slow code would meet less often.
MODE_unit := -O0 -U_FORTIFY_SOURCE
FAST_UNIT := $(addprefix tests/unit/test_,exhaustive% race% vring_order%)

WARN   := -Wall -Wextra $(if $(filter 1,$(WERROR)),-Werror) -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
# Guest memory has no declared type: rings and headers are read through casts, which would break
# strict aliasing.
CODE   := -std=gnu11 -g -pthread -fno-strict-aliasing -ffunction-sections -fdata-sections
HARDEN_x86_64  := -fcf-protection
HARDEN_aarch64 := -mbranch-protection=standard
# Code that runs once a boot, once a command or once a discard is optimized for size; code that runs
# once a request is optimized for speed.
SMALL_release := -Oz
SMALL_FOR     := vmm/% devices/% $(patsubst %,dataplane/%.c,base blkplane_control blkplane_saved evloop_ring ioengine_ranges ioranges ioworker vring_recover)
# Packed relative relocations (DT_RELR) halve the loader's relocation table. Only the static libraries
# still have unwind tables, so that an index of them is of no use.
LINK_x86_64   := -Wl,-z,pack-relative-relocs -Wl,--no-eh-frame-hdr
HARDEN := -fPIE -fstack-protector-strong -fstack-clash-protection $(HARDEN_$(ARCH))
# Debian keeps some headers in a directory of the architecture.
CPPFLAGS += -I. -D_GNU_SOURCE $(foreach dir,include include/$(CROSS),$(SYSROOT:%=-isystem %/usr/$(dir)))
ALL_CFLAGS  := $(CODE) $(WARN) $(HARDEN) $(MODE_$(VARIANT)) $(CFLAGS)
ALL_LDFLAGS := -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed,--gc-sections $(LINK_$(ARCH)) $(MODE_$(VARIANT)) \
	       $(SYSROOT:%=-L%/usr/lib/$(CROSS)) $(LDFLAGS)
# zlib unpacks guest kernels that are compressed with gzip.
LDLIBS_aarch64 := -l:libz.a
# liburing, json-c and libfdt are linked statically: little of them is used, and loading json-c's
# shared library alone would cost a third of a millisecond at each start.
library = $(if $(filter 1,$(SHARED)),-l$(1),-l:lib$(1).a)
LDLIBS := -laio $(call library,uring) $(call library,json-c) $(call library,fdt) $(LDLIBS_$(ARCH))

# ---- what is built --------------------------------------------------------------------------

ROOMS     := dataplane devices/virtio devices/vhost_user vmm $(addprefix vmm/,boot console control kvm machine options sandbox service state) vmm/arch/$(ARCH)
LIB_SRC   := $(filter-out vmm/main.c,$(wildcard $(addsuffix /*.c,$(ROOMS))))
# Coverage is measured in some rooms. Only their objects are compiled for it; the others are shared
# with the release variant.
COUNTED   := $(if $(filter coverage,$(VARIANT)),dataplane/% devices/virtio/% devices/vhost_user/%,%)
COMMON    := $(if $(filter coverage,$(VARIANT)),$(BUILD)/release,$(OBJ))
LIB       := $(patsubst %.c,$(OBJ)/%.o,$(filter $(COUNTED),$(LIB_SRC))) \
	     $(patsubst %.c,$(COMMON)/%.o,$(filter-out $(COUNTED),$(LIB_SRC)))
# Tests of code that only the x86_64 machine has.
TESTS_OF_x86_64 := $(addprefix test_,acpi boot_memory bootparams bzimage elf elf_program initrd loader x86_%)
TEST_SRC  := $(filter-out $(if $(TESTS_OF_$(ARCH)),,$(TESTS_OF_x86_64:%=tests/unit/%.c)),$(wildcard tests/unit/test_*.c))
TEST_LIB  := $(patsubst %.c,$(COMMON)/%.o,$(filter-out $(if $(TESTS_OF_$(ARCH)),,tests/lib/bzimage.c),$(wildcard tests/lib/*.c)))
FUZZ_SRC  := $(filter-out $(if $(TESTS_OF_$(ARCH)),,tests/fuzz/fuzz_boot.c),$(wildcard tests/fuzz/fuzz_*.c))
# A benchmark is NAME.c with NAME_*.c, where they exist.
BENCH_SRC := $(filter-out tests/bench/ringbench_% tests/bench/vubench_% $(if $(TESTS_OF_$(ARCH)),,tests/bench/tsc_khz.c),$(wildcard tests/bench/*.c))
BENCHES   := $(BENCH_SRC:%.c=$(OBJ)/%)
C_FILES    = $(shell git ls-files -co --exclude-standard '*.c' '*.h')

.PHONY: all objects test-objects run check unit unit-all boot budget boot-budget bench-programs guest fio-image deps-run deps-check format install uninstall deb deb-lint clean help FORCE
.SECONDARY:
all: $(PLACE)microvm $(PLACE)microvm-ctl $(PLACE)microvm-blk

# objects: compile everything, link nothing.
objects: $(OBJ)/vmm/main.o $(LIB) $(patsubst %.c,$(OBJ)/%.o,$(wildcard vmm/ctl/*.c vmm/blk/*.c))

$(PLACE)microvm: $(OBJ)/microvm
	$(Q)cp $< $@

# For editors and clangd: the compiler's command for each file, as `make -n` prints it. Variables apply (VARIANT=clang-tsan).
compile_commands.json: FORCE
	$(Q)$(MAKE) -s $(BUILD)/version/version.h $(BUILD)/seccomp/seccomp.h
	$(Q)$(MAKE) -Bn --no-print-directory objects test-objects 2>/dev/null | tools/compile-commands >$@.new && mv $@.new $@

$(OBJ)/microvm: $(OBJ)/vmm/main.o $(LIB) $(OBJ)/linked
	$(Q)$(COMPILER) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LDLIBS)

$(PLACE)microvm-ctl: $(OBJ)/microvm-ctl
	$(Q)cp $< $@

$(OBJ)/microvm-ctl: $(patsubst %.c,$(OBJ)/%.o,$(wildcard vmm/ctl/*.c) vmm/text.c vmm/text_guess.c vmm/options/table.c vmm/console/tty.c) $(OBJ)/linked
	$(Q)$(COMPILER) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(call library,json-c)

$(PLACE)microvm-blk: $(OBJ)/microvm-blk
	$(Q)cp $< $@

$(OBJ)/microvm-blk: $(patsubst %.c,$(OBJ)/%.o,$(wildcard vmm/blk/*.c)) $(LIB) $(OBJ)/linked
	$(Q)$(COMPILER) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LDLIBS)

# Cross builds link with libraries unpacked from Debian's packages.
$(BUILD)/sysroot: tools/fetch-sysroot
	$(Q)tools/fetch-sysroot $@

$(OBJ)/%.o: %.c $(OBJ)/flags | $(SYSROOT)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILER) $(CPPFLAGS) $(ALL_CFLAGS) $(if $(filter $(SMALL_FOR),$<),$(SMALL_$(VARIANT))) $(unit-flags) -MMD -MP -c -o $@ $<

# The seccomp filters, as BPF for each kind of thread. The generator runs on the build machine, so
# it is compiled for that machine in every variant.
$(BUILD)/seccomp/compile: vmm/sandbox/seccomp/compile.c vmm/sandbox/seccomp/rules.h
	$(Q)mkdir -p $(@D)
	$(Q)$(BUILD_CC) $(CODE) $(WARN) -I. -D_GNU_SOURCE -DFILTER_ARCH_$(ARCH) -o $@ $< -lseccomp

$(BUILD)/seccomp/seccomp.h: $(BUILD)/seccomp/compile
	$(Q)$< $(ARCH) >$@.new && mv $@.new $@

# The include path is private to these objects: the file of flags is shared by all objects. Fuzz
# targets have objects of their own.
FILTERED := $(OBJ)/vmm/sandbox/seccomp.o $(BUILD)/fuzz/vmm/sandbox/seccomp.o
$(FILTERED): private CPPFLAGS += -I$(BUILD)/seccomp
$(FILTERED): $(BUILD)/seccomp/seccomp.h

# Only these files include the version, so that a commit recompiles no others.
VERSIONED := main control/answers ctl/ctl blk/main
$(BUILD)/version/version.h: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)tools/version header $@

# The objects of these files, for each place that they are compiled to. Their include path is
# private because the file of flags is shared by all objects.
VERSIONED := $(foreach name,$(VERSIONED),$(OBJ)/vmm/$(name).o $(BUILD)/fuzz/vmm/$(name).o) \
	     $(addprefix $(OBJ)/tests/unit/test_,control.o control_ends.o control_line.o)
$(VERSIONED): private CPPFLAGS += -I$(BUILD)/version
$(VERSIONED): $(BUILD)/version/version.h

# Another choice of libraries links the programs again.
$(OBJ)/linked: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(ALL_LDFLAGS) $(LDLIBS)' | cmp -s - $@ || echo '$(ALL_LDFLAGS) $(LDLIBS)' >$@

# A change of the flags recompiles everything.
$(OBJ)/flags: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(COMPILER) $(CPPFLAGS) $(ALL_CFLAGS) $(SMALL_$(VARIANT)) $(SMALL_FOR) $(MODE_unit) $(FAST_UNIT)' | cmp -s - $@ || \
		echo '$(COMPILER) $(CPPFLAGS) $(ALL_CFLAGS) $(SMALL_$(VARIANT)) $(SMALL_FOR) $(MODE_unit) $(FAST_UNIT)' >$@

# Trees of Debian in build/distro have other files with that suffix.
-include $(shell find $(BUILD) -path $(BUILD)/distro -prune -o -name '*.d' -print 2>/dev/null)

# ---- tests ----------------------------------------------------------------------------------

comma := ,

# Test programs are many and are not shipped, so they use the fastest linker (lld), without the
# flags of release that lld does not know. Cross compilers do not find lld.
TEST_LD      := $(if $(CROSS),,$(if $(shell command -v ld.lld),-fuse-ld=lld -Wl$(comma)--threads=1))
TEST_LDFLAGS  = $(filter-out $(LINK_$(ARCH)),$(ALL_LDFLAGS)) $(TEST_LD)

$(OBJ)/tests/bench/ringbench: $(patsubst %.c,$(OBJ)/%.o,$(wildcard tests/bench/ringbench_*.c))
$(OBJ)/tests/bench/vubench: $(patsubst %,$(OBJ)/tests/bench/%.o,vubench_session ringbench_driver ringbench_packed)

$(OBJ)/tests/bench/%: $(OBJ)/tests/bench/%.o $(LIB)
	$(Q)$(COMPILER) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

bench-programs: $(BENCHES)

# Each of these folders defines targets for its kind of test or guest. The unit tests come first,
# because others use their variables.
include tests/unit/targets.mk $(filter-out tests/unit/%,$(wildcard tests/*/targets.mk guest/*/targets.mk))

run: deps-run microvm guest
	$(Q)tools/run ./microvm $(BUILD)/guest

check: deps-check
	$(Q)tests/check

boot: microvm microvm-ctl guest fio-image
	$(Q)tests/boot/run ./microvm $(BUILD)/guest

budget: microvm bench-programs guest
	$(Q)tools/budget ./microvm $(BUILD)/guest

# boot-budget needs the minimal kernel, so `check` does not run it.
boot-budget: microvm guest guest-kernel
	$(Q)tools/boot-budget ./microvm $(BUILD)/guest-kernel/bzImage $(BUILD)/guest

# ---- installing -----------------------------------------------------------------------------

PROGRAMS       := microvm microvm-ctl microvm-blk
UNITS          := microvm@.service microvm-blk@.service microvm-blk@.socket
prefix         ?= /usr/local
bindir         ?= $(prefix)/bin
mandir         ?= $(prefix)/share/man
completionsdir ?= $(prefix)/share/bash-completion/completions
# systemd reads the units of packages and of local installations from different directories. In a
# package that installs below /usr, Debian 12 expects /lib.
unitdir        ?= $(if $(filter /usr,$(prefix)),/lib,$(prefix)/lib)/systemd/system
# STRIP=no installs the programs with their symbols, for debuggers.
STRIP          ?= yes
# Management software looks for vhost-user back ends in qemu/vhost-user of each data directory.
vhostuserdir   ?= $(prefix)/share/qemu/vhost-user

install: $(PROGRAMS)
	$(Q)install -d $(DESTDIR)$(bindir) $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(completionsdir) \
		$(DESTDIR)$(unitdir) $(DESTDIR)$(vhostuserdir)
	$(Q)install $(if $(filter no,$(STRIP)),,-s) $(PROGRAMS) $(DESTDIR)$(bindir)
	$(Q)install -m 644 $(PROGRAMS:%=vmm/man/%.1) $(DESTDIR)$(mandir)/man1
	$(Q)for p in $(PROGRAMS); do install -m 644 tools/dist/$$p.bash $(DESTDIR)$(completionsdir)/$$p || exit 1; done
	$(Q)for f in $(UNITS:%=$(unitdir)/%) $(vhostuserdir)/50-microvm-blk.json; do \
		sed 's,@bindir@,$(bindir),' tools/dist/$${f##*/} >$(DESTDIR)$$f && chmod 644 $(DESTDIR)$$f || exit 1; \
	done

uninstall:
	$(Q)rm -f $(PROGRAMS:%=$(DESTDIR)$(bindir)/%) $(PROGRAMS:%=$(DESTDIR)$(mandir)/man1/%.1) \
		$(PROGRAMS:%=$(DESTDIR)$(completionsdir)/%) $(UNITS:%=$(DESTDIR)$(unitdir)/%) \
		$(DESTDIR)$(vhostuserdir)/50-microvm-blk.json

deb: $(PROGRAMS)
	$(Q)MAKE='$(MAKE)' tools/deb $(BUILD)/deb

# deb-lint needs lintian, which depends on more than a hundred packages, so no set of tools/deps
# installs it. The maintainer address is left to the publisher of the package; this tree has none.
NO_ADDRESS := bogus-mail-host,bogus-mail-host-in-debian-changelog
deb-lint: deb
	$(Q)lintian --allow-root --fail-on error,warning --suppress-tags $(NO_ADDRESS) $(BUILD)/deb/microvm_*.deb

# ---- guests ---------------------------------------------------------------------------------

guest: $(BUILD)/guest/done

GUEST_FILES := guest/lib.sh guest/disk-image tools/mkroot tools/lib.sh $(shell find guest/rootfs -type f)

$(BUILD)/guest/done: guest/build guest/initramfs guest/init $(GUEST_FILES) tools/fetch-kernel
	$(Q)guest/build $(BUILD)/guest
	$(Q)touch $@

# The root disk of guests that run fio.
fio-image: $(BUILD)/guest/fio.img

$(BUILD)/guest/fio.img: guest/fio-image guest/fio-tree $(GUEST_FILES) tools/fetch-fio
	$(Q)guest/fio-image $(BUILD)/guest

deps-run:
	$(Q)tools/deps build guest

deps-check:
	$(Q)tools/deps build guest check $(if $(filter aarch64,$(HOST)),,arm64)

format:
	clang-format -i $(C_FILES)

clean:
	rm -rf $(BUILD) microvm microvm-ctl microvm-blk compile_commands.json

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile
	@echo 'make unit       unit tests of a VARIANT: release, gcc- or clang-asan, -tsan'
	@echo 'make unit-all   unit tests of every VARIANT'
	@echo 'make boot       boot tests alone'
	@echo 'make boot-budget  exits and time that the monitor adds to a boot, beside QEMU'
	@echo 'make bare       freestanding guests: build/bare/NAME.bz, .elf; on aarch64 .img'
	@echo 'make emulated   the tests that need /dev/kvm, in the emulated host'
	@echo 'make guest-kernel  a minimal guest kernel from source, in build/guest-kernel'
	@echo 'make guest-kernel-check  boot it; guest-kernel-repro: build it again, compare'
	@echo 'make fio-image  build/guest/fio.img: the root disk of a guest with fio'
	@echo 'make linux      tests of Linux guests and their disks; RUNS="NAME..." for some'
	@echo 'make soak       the tests of `make linux` for longer'
	@echo 'make check-systemd  the example unit under systemd, in an emulated Debian'
	@echo 'make check-distro  Debian 12 by tools/mkroot; DISTRO=all or ext4,generic,...'
	@echo 'make kill       kill -9 under a write load, RUNS=200 times'
	@echo 'make vhost-kill  kill -9 of microvm-blk under writes, RUNS=200 times'
	@echo 'make vhost-migrate  save and restore guests that write to it, ROUNDS=20 times'
	@echo 'make proof      proofs by a model checker; RUNS="NAME..." for some'
	@echo 'make coverage   branches of dataplane/ and devices/ that the tests reach'
	@echo 'make fuzz       run every fuzz target for SECONDS=60 each, JOBS=1 at a time'
	@echo 'make bench-stop time that a device stop takes while the guest floods the queue'
	@echo 'make blkbench   a disk, beside QEMU and fio; BLKBENCH="--depths 1,32 ..."'
	@echo 'make vhost-bench  microvm-blk beside QEMU; VHOST_BENCH="--quick ..."'
	@echo 'make boot-and-fio  a Linux guest with fio; BOOT_AND_FIO="--quick ..."'
	@echo 'make install    into prefix=/usr/local, below DESTDIR=; STRIP=no: with symbols'
	@echo 'make uninstall  remove what make install has installed'
	@echo 'make deb        build/deb/microvm_VERSION_ARCH.deb'
	@echo 'make deb-lint   check the package with lintian, where that is installed'
	@echo 'make compile_commands.json  compilation database for clangd and other tools'
	@echo 'make format     clang-format the tree'
	@echo 'make clean      remove what was built; downloads stay in the cache'
	@echo 'JOBS=N          jobs of make check in parallel (default: all CPUs)'
	@echo 'DEPS=no         install nothing     V=1  show commands'

FORCE:
