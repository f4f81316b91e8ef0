# SPDX-License-Identifier: BSD-3-Clause
#
# make            build ./microvm and ./microvm-ctl
# make run        install what is missing, build, boot a busybox guest from a root disk; KERNEL=FILE: another kernel
# make check      install what is missing, run every test
# make check-arm64  cross-build for aarch64, and boot in an emulated arm64 host
# make budget     print and check the size and start-up budgets
# make help       all targets and variables

HOST     := $(shell uname -m)
ARCH     ?= $(HOST)
# Where another architecture is built for: its compiler, and a place for what comes of it.
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

CC_release    := $(if $(CROSS),$(CROSS)-)gcc
CC_gcc-asan   := gcc
CC_gcc-tsan   := gcc
CC_clang-asan := clang
CC_clang-tsan := clang
CC_coverage   := clang
# To see what it says of another architecture's code; what it is linked with there is gcc's.
CC_clang      := clang $(if $(CROSS),--target=$(CROSS) -isystem /usr/$(CROSS)/include)
COMPILER      := $(or $(CC_$(VARIANT)),$(error unknown VARIANT=$(VARIANT)))

ASAN := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
TSAN := -O1 -fsanitize=thread -fno-omit-frame-pointer
# Without the first there are none on x86_64, but still on aarch64.
MODE_release    := -O2 -D_FORTIFY_SOURCE=2 -fno-asynchronous-unwind-tables -fno-unwind-tables
MODE_gcc-asan   := $(ASAN)
MODE_clang-asan := $(ASAN)
MODE_gcc-tsan   := $(TSAN)
MODE_clang-tsan := $(TSAN)
MODE_coverage   := -O1
MODE_clang      := $(MODE_release) -Qunused-arguments

WARN   := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
# Guest memory has no declared type: rings and headers are read through casts.
CODE   := -std=gnu11 -g -pthread -fno-strict-aliasing -ffunction-sections -fdata-sections
HARDEN_x86_64  := -fcf-protection
HARDEN_aarch64 := -mbranch-protection=standard
# What runs once a boot, once a command or once a discard is small; what runs once a request is fast.
SMALL_release := -Oz
SMALL_FOR     := vmm/% devices/% $(patsubst %,dataplane/%.c,base blkplane_control evloop_rings ioengine_ranges ioranges ioworker)
# Half of what the loader relocates is said by a bit each.
LINK_x86_64   := -Wl,-z,pack-relative-relocs
HARDEN := -fPIE -fstack-protector-strong -fstack-clash-protection $(HARDEN_$(ARCH))
# Debian keeps some headers by architecture.
CPPFLAGS += -I. -D_GNU_SOURCE $(foreach dir,include include/$(CROSS),$(SYSROOT:%=-isystem %/usr/$(dir)))
ALL_CFLAGS  := $(CODE) $(WARN) $(HARDEN) $(MODE_$(VARIANT)) $(CFLAGS)
ALL_LDFLAGS := -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed,--gc-sections $(LINK_$(ARCH)) $(MODE_$(VARIANT)) \
	       $(SYSROOT:%=-L%/usr/lib/$(CROSS)) $(LDFLAGS)
# Kernels that gzip has compressed.
LDLIBS_aarch64 := -l:libz.a
# The shared liburing of Debian 12 does not export io_uring_enable_rings; the static one has it.
# The same for json-c, of which little is used: a library to load would cost a third of a millisecond at each start.
LDLIBS := -laio -l:liburing.a -l:libjson-c.a -l:libfdt.a $(LDLIBS_$(ARCH))

# ---- what is built --------------------------------------------------------------------------

ROOMS     := dataplane devices/virtio vmm $(addprefix vmm/,boot console control kvm machine options sandbox service) vmm/arch/$(ARCH)
LIB_SRC   := $(filter-out vmm/main.c,$(wildcard $(addsuffix /*.c,$(ROOMS))))
# Coverage counts two rooms: only their objects are its own, the others are release's.
COUNTED   := $(if $(filter coverage,$(VARIANT)),dataplane/% devices/%,%)
SHARED    := $(if $(filter coverage,$(VARIANT)),$(BUILD)/release,$(OBJ))
LIB       := $(patsubst %.c,$(OBJ)/%.o,$(filter $(COUNTED),$(LIB_SRC))) \
	     $(patsubst %.c,$(SHARED)/%.o,$(filter-out $(COUNTED),$(LIB_SRC)))
# Tests of what only this architecture's machine has.
TESTS_OF_x86_64 := $(addprefix test_,acpi boot_memory bootparams bzimage elf elf_program initrd loader x86_%)
TEST_SRC  := $(filter-out $(if $(TESTS_OF_$(ARCH)),,$(TESTS_OF_x86_64:%=tests/unit/%.c)),$(wildcard tests/unit/test_*.c))
TESTS     := $(TEST_SRC:%.c=$(OBJ)/%)
# With one thread there is nothing to be found by a thread sanitizer, and these are slow with it.
TESTS     := $(if $(filter %-tsan,$(VARIANT)),$(filter-out $(OBJ)/tests/unit/test_exhaustive%,$(TESTS)),$(TESTS))
TEST_LIB  := $(patsubst %.c,$(SHARED)/%.o,$(filter-out $(if $(TESTS_OF_$(ARCH)),,tests/lib/bzimage.c),$(wildcard tests/lib/*.c)))
FUZZ_SRC  := $(filter-out $(if $(TESTS_OF_$(ARCH)),,tests/fuzz/fuzz_boot.c),$(wildcard tests/fuzz/fuzz_*.c))
# NAME.c, and NAME_*.c with it.
BENCH_SRC := $(filter-out tests/bench/ringbench_% $(if $(TESTS_OF_$(ARCH)),,tests/bench/tsc_khz.c),$(wildcard tests/bench/*.c))
BENCHES   := $(BENCH_SRC:%.c=$(OBJ)/%)
C_FILES    = $(shell git ls-files -co --exclude-standard '*.c' '*.h')

.PHONY: all objects test-objects run check unit unit-all boot budget boot-budget bench-programs guest fio-image deps-run deps-check format install uninstall deb deb-lint clean help FORCE
.SECONDARY:
all: $(PLACE)microvm $(PLACE)microvm-ctl

# Compiled, not linked.
objects: $(OBJ)/vmm/main.o $(LIB) $(patsubst %.c,$(OBJ)/%.o,$(wildcard vmm/ctl/*.c))

$(PLACE)microvm: $(OBJ)/microvm
	$(Q)cp $< $@

# For editors and clangd: the compiler's command for each file, as `make -n` prints it. Variables apply (VARIANT=clang-tsan).
compile_commands.json: FORCE
	$(Q)$(MAKE) -s $(BUILD)/version/version.h $(BUILD)/seccomp/seccomp.h
	$(Q)$(MAKE) -Bn --no-print-directory objects test-objects 2>/dev/null | tools/compile-commands >$@.new && mv $@.new $@

$(OBJ)/microvm: $(OBJ)/vmm/main.o $(LIB)
	$(Q)$(COMPILER) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$(PLACE)microvm-ctl: $(OBJ)/microvm-ctl
	$(Q)cp $< $@

$(OBJ)/microvm-ctl: $(patsubst %.c,$(OBJ)/%.o,$(wildcard vmm/ctl/*.c) vmm/text.c vmm/text_guess.c vmm/options/limits.c)
	$(Q)$(COMPILER) $(ALL_LDFLAGS) -o $@ $^ -l:libjson-c.a

# The libraries to cross-build with, of Debian's packages.
$(BUILD)/sysroot: tools/fetch-sysroot
	$(Q)tools/fetch-sysroot $@

$(OBJ)/%.o: %.c $(OBJ)/flags | $(SYSROOT)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILER) $(CPPFLAGS) $(ALL_CFLAGS) $(if $(filter $(SMALL_FOR),$<),$(SMALL_$(VARIANT))) -MMD -MP -c -o $@ $<

# The system calls of each kind of thread, as BPF. Whatever the variant, this is run here.
$(BUILD)/seccomp/compile: vmm/sandbox/seccomp/compile.c vmm/sandbox/seccomp/rules.h
	$(Q)mkdir -p $(@D)
	$(Q)gcc $(CODE) $(WARN) -I. -D_GNU_SOURCE -o $@ $< -lseccomp

$(BUILD)/seccomp/seccomp.h: $(BUILD)/seccomp/compile
	$(Q)$< $(ARCH) >$@.new && mv $@.new $@

# Private: the file of flags is made for all objects alike. Fuzz targets have objects of their own.
FILTERED := $(OBJ)/vmm/sandbox/seccomp.o $(BUILD)/fuzz/vmm/sandbox/seccomp.o
$(FILTERED): private CPPFLAGS += -I$(BUILD)/seccomp
$(FILTERED): $(BUILD)/seccomp/seccomp.h

# The files that tell the version: a commit compiles no others again.
VERSIONED := main control/protocol ctl/ctl
$(BUILD)/version/version.h: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)tools/version header $@

# As above.
VERSIONED := $(foreach name,$(VERSIONED),$(OBJ)/vmm/$(name).o $(BUILD)/fuzz/vmm/$(name).o) \
	     $(addprefix $(OBJ)/tests/unit/test_,control.o control_ends.o control_line.o)
$(VERSIONED): private CPPFLAGS += -I$(BUILD)/version
$(VERSIONED): $(BUILD)/version/version.h

# Everything is compiled again when the flags change.
$(OBJ)/flags: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(COMPILER) $(CPPFLAGS) $(ALL_CFLAGS) $(SMALL_$(VARIANT)) $(SMALL_FOR)' | cmp -s - $@ || \
		echo '$(COMPILER) $(CPPFLAGS) $(ALL_CFLAGS) $(SMALL_$(VARIANT)) $(SMALL_FOR)' >$@

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# ---- tests ----------------------------------------------------------------------------------

comma := ,

# Test programs are many and are not shipped: the fastest linker will do, which does not know all of release's flags.
# Cross compilers do not find it.
TEST_LD      := $(if $(CROSS),,$(if $(shell command -v ld.lld),-fuse-ld=lld -Wl$(comma)--threads=1))
TEST_LDFLAGS  = $(filter-out $(LINK_$(ARCH)),$(ALL_LDFLAGS)) $(TEST_LD)
# Where a test is, without a system call at each assertion (tests/lib/marks.h).
MARKS        := -Wl,--wrap=_mark_point,--wrap=waitpid
CHECK_LIBS   := $(shell pkg-config --libs check 2>/dev/null)

# Tests of the libaio engine stand between it and the library.
$(OBJ)/tests/unit/test_ioengine_libaio: ALL_LDFLAGS += -Wl,--wrap=io_submit,--wrap=io_getevents

# A program is linked with what it uses of these. Made anew when a file comes, goes or changes.
$(OBJ)/tests/lib.a: $(TEST_LIB) $(LIB) $(OBJ)/tests/members
	$(Q)rm -f $@ && $(if $(CROSS),$(CROSS)-)ar rcsT $@ $(TEST_LIB) $(LIB)

# What calls of other objects and of the C library --wrap can stand in for.
$(OBJ)/tests/symbols: $(OBJ)/tests/lib.a
	$(Q){ $(if $(CROSS),$(CROSS)-)nm -u $<; nm -D --defined-only "$$(gcc -print-file-name=libc.so.6)"; } 2>/dev/null | \
		sed 's/.* //; s/@.*//' | sort -u >$@

# What the linker is told to wrap for a program.
WRAPPED = $(patsubst -Wl$(comma)--wrap=%,%,$(filter -Wl$(comma)--wrap=%,$(subst $(comma)--wrap, -Wl$(comma)--wrap,$(ALL_LDFLAGS))))

$(OBJ)/tests/members: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(TEST_LIB) $(LIB)' | cmp -s - $@ || echo '$(TEST_LIB) $(LIB)' >$@

$(OBJ)/tests/unit/%: $(SHARED)/tests/unit/%.o $(OBJ)/tests/lib.a $(OBJ)/tests/symbols
	$(Q)mkdir -p $(@D)
	$(Q)tests/unit/check-wraps $(OBJ)/tests/symbols $@ $(WRAPPED)
	$(Q)$(COMPILER) $(TEST_LDFLAGS) $(MARKS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS) $(CHECK_LIBS) -lutil

# What is aarch64's and needs no machine of that kind is tested on all.
OF_ARM64 := $(patsubst %,$(SHARED)/vmm/arch/aarch64/%.o,image tree)
$(OBJ)/tests/unit/test_arm64_%: private LDLIBS += $(LDLIBS_aarch64)
$(addprefix $(OBJ)/tests/unit/test_arm64_,image tree): $(OF_ARM64)

# What other variants share.
test-objects: $(TEST_SRC:%.c=$(SHARED)/%.o) $(TEST_LIB) $(LIB) $(OF_ARM64)

$(OBJ)/tests/bench/ringbench: $(patsubst %.c,$(OBJ)/%.o,$(wildcard tests/bench/ringbench_*.c))

$(OBJ)/tests/bench/%: $(OBJ)/tests/bench/%.o $(LIB)
	$(Q)$(COMPILER) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

# One variant's unit tests: make unit VARIANT=clang-tsan
unit: $(TESTS)
	$(Q)tests/unit/run $(VARIANT) $(TESTS)

# Those of `check`, and each sanitizer with the other compiler.
unit-all:
	$(Q)for v in release gcc-asan gcc-tsan clang-asan clang-tsan; do $(MAKE) -s unit VARIANT=$$v || exit 1; done

bench-programs: $(BENCHES)

# Kinds of test that bring targets of their own.
include $(wildcard tests/*/targets.mk guest/*/targets.mk)

run: deps-run microvm guest
	$(Q)tools/run ./microvm $(BUILD)/guest

check: deps-check
	$(Q)tests/check

boot: microvm microvm-ctl guest fio-image
	$(Q)tests/boot/run ./microvm $(BUILD)/guest

budget: microvm bench-programs guest
	$(Q)tools/budget ./microvm $(BUILD)/guest

# Needs the minimal kernel, so it is no part of `check`.
boot-budget: microvm guest guest-kernel
	$(Q)tools/boot-budget ./microvm $(BUILD)/guest-kernel/bzImage $(BUILD)/guest

# ---- installing -----------------------------------------------------------------------------

PROGRAMS       := microvm microvm-ctl
prefix         ?= /usr/local
bindir         ?= $(prefix)/bin
mandir         ?= $(prefix)/share/man
completionsdir ?= $(prefix)/share/bash-completion/completions
# Where systemd looks for units of packages, or of what is installed by hand; in a package below /usr, Debian 12's is /lib.
unitdir        ?= $(if $(filter /usr,$(prefix)),/lib,$(prefix)/lib)/systemd/system

install: $(PROGRAMS)
	$(Q)install -d $(DESTDIR)$(bindir) $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(completionsdir) \
		$(DESTDIR)$(unitdir)
	$(Q)install $(PROGRAMS) $(DESTDIR)$(bindir)
	$(Q)install -m 644 $(PROGRAMS:%=vmm/man/%.1) $(DESTDIR)$(mandir)/man1
	$(Q)for p in $(PROGRAMS); do install -m 644 tools/dist/$$p.bash $(DESTDIR)$(completionsdir)/$$p || exit 1; done
	$(Q)sed 's,@bindir@,$(bindir),' tools/dist/microvm@.service >$(DESTDIR)$(unitdir)/microvm@.service
	$(Q)chmod 644 $(DESTDIR)$(unitdir)/microvm@.service

uninstall:
	$(Q)rm -f $(PROGRAMS:%=$(DESTDIR)$(bindir)/%) $(PROGRAMS:%=$(DESTDIR)$(mandir)/man1/%.1) \
		$(PROGRAMS:%=$(DESTDIR)$(completionsdir)/%) $(DESTDIR)$(unitdir)/microvm@.service

deb: $(PROGRAMS)
	$(Q)MAKE='$(MAKE)' tools/deb $(BUILD)/deb

# Needs lintian, which brings more than a hundred packages along: no set of tools/deps has it. Who
# publishes the package has an address to put into it; this tree has none.
NO_ADDRESS := bogus-mail-host,bogus-mail-host-in-debian-changelog
deb-lint: deb
	$(Q)lintian --allow-root --fail-on error,warning --suppress-tags $(NO_ADDRESS) $(BUILD)/deb/microvm_*.deb

# ---- guests ---------------------------------------------------------------------------------

guest: $(BUILD)/guest/done

GUEST_FILES := guest/lib.sh $(shell find guest/rootfs -type f)

$(BUILD)/guest/done: guest/build guest/initramfs guest/init $(GUEST_FILES) tools/fetch-kernel
	$(Q)guest/build $(BUILD)/guest
	$(Q)touch $@

# The root disk of guests that measure their disks.
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
	rm -rf $(BUILD) microvm microvm-ctl compile_commands.json

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile
	@echo 'make unit       unit tests of one VARIANT: release gcc-asan gcc-tsan clang-asan clang-tsan'
	@echo 'make unit-all   unit tests of every VARIANT'
	@echo 'make boot       boot tests alone'
	@echo 'make boot-budget  what the monitor adds to a boot: exits by cause, time, beside QEMU'
	@echo 'make bare       the freestanding guests: build/bare/NAME.bz and NAME.elf; of aarch64, NAME.img'
	@echo 'make emulated   what needs /dev/kvm, in the emulated host'
	@echo 'make guest-kernel  a minimal guest kernel from source: build/guest-kernel/bzImage and vmlinux'
	@echo 'make guest-kernel-check  boots it; guest-kernel-repro: builds it again for the same bytes'
	@echo 'make fio-image  build/guest/fio.img: the root disk of a guest with fio'
	@echo 'make linux      what Linux guests do to their disks; RUNS="NAME..." for some tests only'
	@echo 'make soak       the same for longer'
	@echo 'make check-systemd  the example unit under a real systemd, in an emulated host'
	@echo 'make kill       kill -9 under a write load, RUNS=200 times'
	@echo 'make coverage   which lines and branches of dataplane/ and devices/ the tests reach'
	@echo 'make fuzz       every fuzz target for SECONDS=60 each, JOBS=1 at a time'
	@echo 'make bench-stop how long a stop takes while the guest floods'
	@echo 'make blkbench   a disk as a guest sees it, beside QEMU and fio; BLKBENCH="--depths 1,32 ..."'
	@echo 'make boot-and-fio  a Linux guest with fio, beside QEMU and others; BOOT_AND_FIO="--quick ..."'
	@echo 'make install    into prefix=/usr/local, below DESTDIR= if that is set; make uninstall'
	@echo 'make deb        build/deb/microvm_VERSION_ARCH.deb'
	@echo 'make deb-lint   lintian over it, where that is installed'
	@echo 'make compile_commands.json  for clangd and other tools'
	@echo 'make format     clang-format the tree'
	@echo 'make clean      remove what was built; downloads stay in the cache'
	@echo 'JOBS=N          processors for make check (all); 1: its steps in turn'
	@echo 'DEPS=no         install nothing     V=1  show commands'

FORCE:
