/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests on a real /dev/kvm: small kernels are entered by each boot protocol, check their initial
 * state, and power off; CPUID of real vCPUs. Skipped where KVM is unavailable.
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/cases.h"
#include "tests/lib/guestram.h"
#include "tests/lib/suite.h"
#include "vmm/arch.h"

#define MIB	   (1ull << 20)
#define KERNEL_GPA (2 * MIB)
#define RESULT_GPA (8 * MIB) /* the kernels write their results here */

static struct {
	struct guestram ram;
	struct devlist devices;
	struct bus pio, mmio;
	struct vm_exit vm_exit;
	enum vm_end end;
	int kvm_fd, vm_fd, vcpu_fd;
	struct kvm_run *run;
	struct arch_boot *boot;
} vm;

/*
 * 64-bit kernel: stores RSI, CR0 and the version of the local APIC (which proves that MMIO is
 * mapped) at RESULT_GPA, reloads a segment register (which proves that the GDT is present), and
 * powers off.
 */
static const uint8_t code64[] = {
	0xb8, 0x18, 0,	  0,	0,		  /* mov eax, 0x18 */
	0x8e, 0xd8,				  /* mov ds, eax: needs the GDT in place */
	0xbf, 0,    0,	  0x80, 0,		  /* mov edi, RESULT_GPA */
	0x48, 0x89, 0x37,			  /* mov [rdi], rsi */
	0x0f, 0x20, 0xc0,			  /* mov rax, cr0 */
	0x48, 0x89, 0x47, 0x08,			  /* mov [rdi+8], rax */
	0xbe, 0x30, 0,	  0xe0, 0xfe,		  /* mov esi, 0xfee00030: LAPIC version */
	0x8b, 0x06,				  /* mov eax, [rsi] */
	0x89, 0x47, 0x10,			  /* mov [rdi+16], eax */
	0x66, 0xba, 0x00, 0x06, 0xb0, 0x34, 0xee, /* mov dx, 0x600; mov al, 0x34; out dx, al */
	0xf4, 0xeb, 0xfd,			  /* hlt; again */
};

/*
 * 32-bit kernel: does the same in protected mode, but loads no segment register, which the PVH ABI
 * forbids.
 */
static const uint8_t code32[] = {
	0xbf, 0,    0,	  0x80, 0,		  /* mov edi, RESULT_GPA */
	0x89, 0x1f,				  /* mov [edi], ebx */
	0x0f, 0x20, 0xc0,			  /* mov eax, cr0 */
	0x89, 0x47, 0x08,			  /* mov [edi+8], eax */
	0xa1, 0x30, 0,	  0xe0, 0xfe,		  /* mov eax, [0xfee00030] */
	0x89, 0x47, 0x10,			  /* mov [edi+16], eax */
	0x66, 0xba, 0x00, 0x06, 0xb0, 0x34, 0xee, /* mov dx, 0x600; mov al, 0x34; out dx, al */
	0xf4, 0xeb, 0xfd,			  /* hlt; again */
};

static int bzimage(void)
{
	uint8_t file[0x400 + 0x400] = { 0 };
	struct setup_header *hdr = (struct setup_header *)(file + 0x1f1);

	hdr->setup_sects = 1;
	hdr->syssize = 0x400 / 16;
	hdr->boot_flag = 0xaa55;
	hdr->jump = 0x6aeb;
	hdr->header = 0x53726448;
	hdr->version = 0x20c;
	hdr->loadflags = LOADED_HIGH;
	hdr->initrd_addr_max = 0x7fffffff;
	hdr->xloadflags = XLF_KERNEL_64;
	hdr->cmdline_size = 255;
	hdr->pref_address = KERNEL_GPA;
	memcpy(file + 0x400 + 0x200, code64, sizeof(code64));
	return memfile(file, sizeof(file));
}

static int elf(const uint8_t *code, size_t len, bool pvh)
{
	uint8_t file[0x2000] = { 0 };
	uint32_t note[] = { 4, 4, 18, 0x6e6558, KERNEL_GPA }; /* "Xen" */
	Elf64_Ehdr ehdr = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
			    .e_type = ET_EXEC,
			    .e_machine = EM_X86_64,
			    .e_entry = KERNEL_GPA,
			    .e_phoff = sizeof(ehdr),
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = 2 };
	Elf64_Phdr phdr[2] = { { PT_LOAD, 5, 0x1000, 0, KERNEL_GPA, len, len, 4096 },
			       { PT_NOTE, 4, 0x800, 0, 0, sizeof(note), sizeof(note), 4 } };

	if (!pvh)
		phdr[1].p_type = PT_NULL;
	memcpy(file, &ehdr, sizeof(ehdr));
	memcpy(file + sizeof(ehdr), phdr, sizeof(phdr));
	memcpy(file + 0x800, note, sizeof(note));
	memcpy(file + 0x1000, code, len);
	return memfile(file, sizeof(file));
}

static void end(struct vm_exit *vm_exit, enum vm_end why)
{
	ck_assert_ptr_eq(vm_exit, &vm.vm_exit);
	vm.end = why;
}

static bool kvm_opens(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		printf("test_x86_enter: skip all: /dev/kvm: %s\n", strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

static void create_vm(void)
{
	guestram_create(&vm.ram, 16 * MIB);
	vm.kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(vm.kvm_fd, 0);
	vm.vm_fd = ioctl(vm.kvm_fd, KVM_CREATE_VM, 0);
	ck_assert_int_ge(vm.vm_fd, 0);
	ck_assert_int_eq(arch_vm_setup(vm.kvm_fd, vm.vm_fd), 0);
	for (unsigned int i = 0; i < vm.ram.mem.count; i++) {
		struct hostmem_region *region = &vm.ram.mem.region[i];
		struct kvm_userspace_memory_region slot = { i, 0, region->gpa, region->size,
							    (uintptr_t)region->hva };

		ck_assert_int_eq(ioctl(vm.vm_fd, KVM_SET_USER_MEMORY_REGION, &slot), 0);
	}
	vm.vm_exit.end = end;
	ck_assert_int_eq(arch_devices(&vm.devices, DESCRIBE_DEFAULT, true, 0), 0);
	for (unsigned int i = 0; i < vm.devices.count; i++)
		arch_device_create(&vm.devices.dev[i], &vm.pio, &vm.mmio, &vm.vm_exit);
}

static void load_kernel(int kernel_fd)
{
	struct arch_boot_config config = { .kernel_fd = kernel_fd,
					   .initrd_fd = -1,
					   .cmdline = "",
					   .ram_size = vm.ram.size,
					   .cpus = 1,
					   .mem = &vm.ram.mem,
					   .devices = &vm.devices };
	struct arch_boot_error error = { 0 };
	int err = guestram_boot(&config, &vm.boot, &error);

	ck_assert_msg(err == 0, "%s", error.why);
	close(kernel_fd);
}

static void create_vcpu(unsigned int index, unsigned int cpus)
{
	int size = ioctl(vm.kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	vm.vcpu_fd = ioctl(vm.vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
	ck_assert_int_ge(vm.vcpu_fd, 0);
	vm.run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vm.vcpu_fd, 0);
	ck_assert_ptr_ne(vm.run, MAP_FAILED);
	ck_assert_int_eq(arch_vcpu_setup(vm.kvm_fd, vm.vm_fd, vm.vcpu_fd, index, cpus, false,
					 vm.boot),
			 0);
}

static void run_until_end(enum vm_end why)
{
	for (int i = 0; i < 1000 && vm.end == VM_RUNNING; i++) {
		ck_assert_msg(ioctl(vm.vcpu_fd, KVM_RUN, 0) == 0 || errno == EINTR, "KVM_RUN: %s",
			      strerror(errno));
		ck_assert_msg(arch_vcpu_exit(vm.run, &vm.pio, &vm.vm_exit), "exit reason %u",
			      vm.run->exit_reason);
	}
	ck_assert_int_eq(vm.end, why);
}

static void destroy(void)
{
	free(vm.boot);
	close(vm.vm_fd);
	close(vm.kvm_fd);
	guestram_destroy(&vm.ram);
}

static const uint64_t *boot_and_power_off(int kernel_fd)
{
	create_vm();
	load_kernel(kernel_fd);
	create_vcpu(0, 1);
	run_until_end(VM_END_POWEROFF);
	return guestram_at(&vm.ram, RESULT_GPA, 24);
}

static void check_64_bit(const uint64_t *seen)
{
	const struct boot_params *params = guestram_at(&vm.ram, seen[0], sizeof(*params));

	ck_assert_uint_eq(params->hdr.header, 0x53726448);
	ck_assert_uint_eq(seen[1] & 0x80000001, 0x80000001);
	ck_assert_uint_ne(seen[2], 0);
	ck_assert_uint_ne(seen[2], 0xffffffff);
}

START_TEST(bzimage_enters_64_bit_code)
{
	check_64_bit(boot_and_power_off(bzimage()));
	destroy();
}
END_TEST

START_TEST(elf_enters_64_bit_code)
{
	check_64_bit(boot_and_power_off(elf(code64, sizeof(code64), false)));
	destroy();
}
END_TEST

START_TEST(pvh_enters_32_bit_code)
{
	const uint64_t *seen;

	seen = boot_and_power_off(elf(code32, sizeof(code32), true));
	ck_assert_mem_eq(guestram_at(&vm.ram, seen[0], 4), "\x78\xc5\x6e\x33", 4);
	ck_assert_uint_eq(seen[1] & 0x80000001, 1);
	ck_assert_uint_ne(seen[2], 0);
	ck_assert_uint_ne(seen[2], 0xffffffff);
	destroy();
}
END_TEST

/* Linux jumps there for `reboot=bios`. */
START_TEST(reset_vector_resets)
{
	struct kvm_regs regs = { .rip = 0xfff0, .rflags = 2 };
	struct kvm_sregs sregs;

	create_vm();
	load_kernel(bzimage());
	create_vcpu(0, 1);
	ck_assert_int_eq(ioctl(vm.vcpu_fd, KVM_GET_SREGS, &sregs), 0);
	sregs.cr0 = 0x10;
	sregs.cr4 = sregs.cr3 = sregs.efer = 0;
	sregs.cs.base = 0xf0000;
	sregs.cs.selector = 0xf000;
	sregs.cs.limit = 0xffff;
	sregs.cs.l = sregs.cs.db = sregs.cs.g = 0;
	ck_assert_int_eq(ioctl(vm.vcpu_fd, KVM_SET_SREGS, &sregs), 0);
	ck_assert_int_eq(ioctl(vm.vcpu_fd, KVM_SET_REGS, &regs), 0);
	run_until_end(VM_END_REBOOT);
	destroy();
}
END_TEST

/* ---- CPUID ---- */

#define CPUID_MAX 256

static struct kvm_cpuid2 *cpuid;

static const struct kvm_cpuid_entry2 *leaf(uint32_t function, uint32_t index)
{
	for (unsigned int i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	return NULL;
}

static const char *const vcpus[] = { "vCPU 0", "vCPU 1", "vCPU 2" };

/* test_x86_cpuid tests the other leaves. Software KVM takes parts of leaf 1 from its host. */
START_TEST(vcpus_have_their_own_apic_ids)
{
	uint32_t id = (uint32_t)_i;

	create_vm();
	load_kernel(bzimage());
	create_vcpu(id, 3);
	cpuid = calloc(1, sizeof(*cpuid) + CPUID_MAX * sizeof(*cpuid->entries));
	ck_assert_ptr_nonnull(cpuid);
	cpuid->nent = CPUID_MAX;
	ck_assert_int_eq(ioctl(vm.vcpu_fd, KVM_GET_CPUID2, cpuid), 0);
	ck_assert_uint_eq(leaf(1, 0)->ebx >> 24, id);
	ck_assert_mem_eq(&leaf(0x40000000, 0)->ebx, "KVMK", 4);
	if (leaf(0, 0)->eax >= 0xb) {
		ck_assert_uint_eq(leaf(0xb, 1)->edx, id);
		ck_assert_uint_eq(leaf(0xb, 1)->ebx, 3);
	}
	free(cpuid);
	destroy();
}
END_TEST

/* Only the first vCPU is runnable; the others wait for INIT. */
START_TEST(other_vcpus_wait)
{
	struct kvm_mp_state state = { 0 };
	struct kvm_regs regs = { 0 };

	create_vm();
	load_kernel(bzimage());
	create_vcpu(1, 2);
	ck_assert_int_eq(ioctl(vm.vcpu_fd, KVM_GET_MP_STATE, &state), 0);
	ck_assert_uint_eq(state.mp_state, KVM_MP_STATE_UNINITIALIZED);
	ck_assert_int_eq(ioctl(vm.vcpu_fd, KVM_GET_REGS, &regs), 0);
	ck_assert_uint_eq(regs.rip, 0xfff0); /* reset vector */
	create_vcpu(0, 2);
	ck_assert_int_eq(ioctl(vm.vcpu_fd, KVM_GET_MP_STATE, &state), 0);
	ck_assert_uint_eq(state.mp_state, KVM_MP_STATE_RUNNABLE);
	destroy();
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("x86_enter");
	TCase *tcase;

	/*
	 * Tests that did not run must not count as passed. tests/emulated runs them on such a host.
	 */
	if (!kvm_opens())
		return suite;
	tcase = tcase_create("x86_enter");
	tcase_set_timeout(tcase, 20);
	tcase_add_test(tcase, bzimage_enters_64_bit_code);
	tcase_add_test(tcase, elf_enters_64_bit_code);
	tcase_add_test(tcase, pvh_enters_32_bit_code);
	tcase_add_test(tcase, reset_vector_resets);
	tcase_add_names_test(tcase, vcpus_have_their_own_apic_ids, vcpus);
	tcase_add_test(tcase, other_vcpus_wait);
	suite_add_tcase(suite, tcase);
	return suite;
}
