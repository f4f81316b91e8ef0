# SPDX-License-Identifier: BSD-3-Clause
#
# make bare       the freestanding test guests: build/bare/NAME.bz (bzImage) and NAME.elf (PVH);
#                 with ARCH=aarch64 build/aarch64/bare/NAME.img (Image) and NAME.img.gz

BARE_GUESTS := polite hostile blkbench kill memory
BARE_OBJ    := $(BUILD)/bare
BARE_ARCH   := guest/bare/$(ARCH)
BARE_CC     := $(if $(CROSS),$(CROSS)-)gcc
BARE_OBJCOPY := $(if $(CROSS),$(CROSS)-)objcopy
# Only general registers: interrupt entries save no others.
BARE_CFLAGS_x86_64  := -fcf-protection=none
BARE_CFLAGS_aarch64 := -mbranch-protection=none -mno-outline-atomics
BARE_CFLAGS := -I. -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -mgeneral-regs-only \
	       -fno-stack-protector -fno-asynchronous-unwind-tables \
	       -fno-strict-aliasing $(BARE_CFLAGS_$(ARCH)) $(WARN)
BARE_LDFLAGS := -static -nostdlib -no-pie -Wl,-z,noexecstack,-z,max-page-size=4096 \
		-Wl,--build-id=none,--no-warn-rwx-segments -T $(BARE_ARCH)/bare.ld
# NAME.c and NAME_*.c belong to guest NAME; all other files of an architecture are its runtime.
BARE_RUNTIME := $(patsubst %,$(BARE_OBJ)/%.o,$(wildcard $(BARE_ARCH)/*.S) \
		$(filter-out $(BARE_GUESTS:%=$(BARE_ARCH)/%%.c),$(wildcard $(BARE_ARCH)/*.c)) \
		$(addprefix guest/bare/,text.c run.c virtio.c packed.c))
BARE_IMAGES_x86_64  := bz elf
BARE_IMAGES_aarch64 := img img.gz

.PHONY: bare
bare: $(foreach kind,$(BARE_IMAGES_$(ARCH)),$(BARE_GUESTS:%=$(BARE_OBJ)/%.$(kind)))

$(BARE_OBJ)/%.c.o: %.c guest/bare/targets.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(BARE_CC) $(BARE_CFLAGS) -MMD -MP -c -o $@ $<

$(BARE_OBJ)/%.S.o: %.S guest/bare/targets.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(BARE_CC) -I. -MMD -MP -c -o $@ $<

define bare_guest
$(BARE_OBJ)/$(1).linked: $(BARE_RUNTIME) $(BARE_ARCH)/bare.ld \
		$(patsubst %,$(BARE_OBJ)/%.o,$(wildcard guest/bare/$(1)*.c $(BARE_ARCH)/$(1)*.c))
	$(Q)$(BARE_CC) $(BARE_LDFLAGS) -o $$@ $$(filter %.o,$$^)
endef
$(foreach guest,$(BARE_GUESTS),$(eval $(call bare_guest,$(guest))))

# An ELF loader loads no setup sectors, so they are removed.
$(BARE_OBJ)/%.elf: $(BARE_OBJ)/%.linked
	$(Q)objcopy -R .setup -g $< $@

$(BARE_OBJ)/%.bz: $(BARE_OBJ)/%.linked
	$(Q)objcopy -O binary --set-section-flags .setup=alloc -j .setup $< $@.setup
	$(Q)objcopy -O binary -R .setup $< $@.code
	$(Q)cat $@.setup $@.code >$@ && rm -f $@.setup $@.code

$(BARE_OBJ)/%.img: $(BARE_OBJ)/%.linked
	$(Q)$(BARE_OBJCOPY) -O binary $< $@

$(BARE_OBJ)/%.img.gz: $(BARE_OBJ)/%.img
	$(Q)gzip -9cn $< >$@
