/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-kernel GIC of KVM: GICv3, or GICv2 where the host has only that.
 *
 * Documentation/virt/kvm/devices/arm-vgic-v3.rst and arm-vgic.rst describe the attributes.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/arch/aarch64/boot.h"
#include "vmm/arch/aarch64/layout.h"

struct gic {
	uint32_t type;
	uint32_t distributor, other; /* KVM_VGIC_V*_ADDR_TYPE_* values */
	uint64_t other_at;
};

static const struct gic versions[] = {
	{ KVM_DEV_TYPE_ARM_VGIC_V3, KVM_VGIC_V3_ADDR_TYPE_DIST, KVM_VGIC_V3_ADDR_TYPE_REDIST,
	  LAYOUT_GICR },
	{ KVM_DEV_TYPE_ARM_VGIC_V2, KVM_VGIC_V2_ADDR_TYPE_DIST, KVM_VGIC_V2_ADDR_TYPE_CPU,
	  LAYOUT_GICC },
};

static int set(int fd, uint32_t group, uint64_t attr, const void *value)
{
	struct kvm_device_attr what = { .group = group, .attr = attr, .addr = (uintptr_t)value };

	return ioctl(fd, KVM_SET_DEVICE_ATTR, &what) < 0 ? -errno : 0;
}

static int set_up(int fd, const struct gic *gic)
{
	uint64_t distributor = LAYOUT_GICD;
	uint32_t ids = LAYOUT_GIC_IDS;
	int err = set(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, gic->distributor, &distributor);

	if (!err)
		err = set(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, gic->other, &gic->other_at);
	if (!err)
		err = set(fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &ids);
	if (!err)
		err = set(fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	return err;
}

int arch_vm_finish(int vm_fd, struct arch_boot *boot)
{
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		struct kvm_create_device device = { .type = versions[i].type };
		int err;

		if (ioctl(vm_fd, KVM_CREATE_DEVICE, &device) < 0) {
			if (errno == ENODEV)
				continue;
			return -errno;
		}
		err = set_up((int)device.fd, &versions[i]);
		close((int)device.fd); /* the VM holds its own reference */
		if (!err && device.type == KVM_DEV_TYPE_ARM_VGIC_V2)
			err = tree_use_gicv2(boot->tree_at, LAYOUT_TREE_SIZE);
		return err;
	}
	return -ENODEV;
}
