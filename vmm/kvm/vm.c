/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/kvm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dataplane/base.h"
#include "vmm/arch.h"

#define KVM_DEVICE "/dev/kvm"

static const struct {
	unsigned long cap;
	const char *missing;
} required[] = {
	{ KVM_CAP_IRQCHIP, KVM_DEVICE " has no in-kernel interrupt controller" },
	{ KVM_CAP_USER_MEMORY, KVM_DEVICE " has no user memory" },
	{ KVM_CAP_IOEVENTFD, KVM_DEVICE " has no ioeventfd" },
	{ KVM_CAP_IRQFD, KVM_DEVICE " has no irqfd" },
	{ KVM_CAP_IMMEDIATE_EXIT, KVM_DEVICE " has no immediate exit (needs Linux 4.13)" },
};

static int open_kvm(const char **why)
{
	int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		*why = "no " KVM_DEVICE ": the processor or the host kernel offers no KVM";
	else if (errno == EACCES || errno == EPERM)
		*why = "no permission for " KVM_DEVICE " (its group is usually kvm)";
	else
		*why = "cannot open " KVM_DEVICE;
	return -errno;
}

/* Finds the page of the coalesced MMIO ring. The ring is used only if it lies in the mapped run
 * area: otherwise the VMM could not read the writes that KVM queues there. */
static void find_coalesced_ring(struct vm *vm)
{
	int page = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO);
	size_t size = (size_t)sysconf(_SC_PAGESIZE);

	if (page > 0 && ((size_t)page + 1) * size <= vm->run_size)
		vm->coalesced_mmio_page = (unsigned int)page;
}

static int check_capabilities(struct vm *vm, const char **why)
{
	int n = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);

	/* An error means that the device is not KVM or that the host forbids the ioctl, which is no
	 * version mismatch and gets a message of its own. */
	if (n < 0) {
		*why = KVM_DEVICE " does not answer KVM_GET_API_VERSION";
		return -errno;
	}
	if (n != KVM_API_VERSION) {
		*why = KVM_DEVICE " has an unsupported API version";
		return -EPROTO;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(required); i++) {
		n = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, required[i].cap);
		*why = n < 0 ? KVM_DEVICE " does not answer KVM_CHECK_EXTENSION"
			     : required[i].missing;
		if (n <= 0)
			return n < 0 ? -errno : -EOPNOTSUPP;
	}
	*why = NULL;
	n = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS);
	vm->cpus_recommended = n > 0 ? (unsigned int)n : 1;
	n = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	vm->cpus_max = n > 0 ? (unsigned int)n : vm->cpus_recommended;
	vm->doorbell_any_length =
		ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD_ANY_LENGTH) > 0;
	vm->windows = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM) > 0 &&
		      arch_device_reads_coherent(vm->kvm_fd);

	n = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (n < (int)sizeof(struct kvm_run)) {
		*why = KVM_DEVICE " has too small a run area";
		return -EPROTO;
	}
	vm->run_size = (unsigned int)n;
	find_coalesced_ring(vm);
	return 0;
}

int vm_create(struct vm *vm, uint64_t ram_size, const char **why)
{
	unsigned long type;
	int err;

	*vm = (struct vm){ .kvm_fd = -1,
			   .fd = -1,
			   .coalesced_mmio_lock = PTHREAD_MUTEX_INITIALIZER };
	*why = NULL;
	err = open_kvm(why);
	if (err < 0)
		return err;
	vm->kvm_fd = err;
	err = check_capabilities(vm, why);
	if (err)
		goto fail;
	err = arch_vm_type(vm->kvm_fd, ram_size, &type);
	if (err)
		goto fail;
	do {
		vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, type);
	} while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0) {
		*why = KVM_DEVICE " cannot create a VM";
		err = -errno;
		goto fail;
	}
	return 0;
fail:
	vm_destroy(vm);
	return err;
}

void vm_destroy(struct vm *vm)
{
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	vm->fd = vm->kvm_fd = -1;
}

static int map_region(struct vm *vm, unsigned int number, const struct hostmem_region *region)
{
	struct kvm_userspace_memory_region slot = {
		.slot = number,
		.flags = region->readonly ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = region->gpa,
		.memory_size = region->size,
		.userspace_addr = (uintptr_t)region->hva,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot) ? -errno : 0;
}

int vm_map_memory(struct vm *vm, const struct hostmem *mem)
{
	int err = 0;

	for (unsigned int i = 0; i < mem->count && !err; i++)
		err = map_region(vm, i, &mem->region[i]);
	return err;
}

int vm_map_readonly(struct vm *vm, const struct hostmem *mem, unsigned int number,
		    const struct hostmem_region *regpage)
{
	return map_region(vm, mem->count + number, regpage);
}

int vm_ioeventfd(struct vm *vm, uint64_t gpa, int event_fd)
{
	/* Length 0 matches a write of any length, for which KVM need not decode the instruction. */
	struct kvm_ioeventfd doorbell = {
		.addr = gpa,
		.len = vm->doorbell_any_length ? 0 : 4,
		.fd = event_fd,
	};

	return ioctl(vm->fd, KVM_IOEVENTFD, &doorbell) ? -errno : 0;
}

int vm_ioeventfd_match(struct vm *vm, uint64_t gpa, uint32_t value, int event_fd)
{
	struct kvm_ioeventfd doorbell = {
		.datamatch = value,
		.addr = gpa,
		.len = sizeof(value),
		.fd = event_fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	return ioctl(vm->fd, KVM_IOEVENTFD, &doorbell) ? -errno : 0;
}

int vm_coalesce_mmio(struct vm *vm, uint64_t gpa, uint32_t size)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = gpa, .size = size };

	if (!vm->coalesced_mmio_page)
		return 0;
	return ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone) ? -errno : 0;
}

int vm_irqfd(struct vm *vm, uint32_t gsi, int event_fd)
{
	struct kvm_irqfd irq = { .fd = (uint32_t)event_fd, .gsi = gsi };

	return ioctl(vm->fd, KVM_IRQFD, &irq) ? -errno : 0;
}
