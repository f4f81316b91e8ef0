/* SPDX-License-Identifier: BSD-3-Clause */
#include "vmm/arch/x86_64/acpi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/base.h"
#include "vmm/arch/x86_64/aml.h"
#include "vmm/arch/x86_64/layout.h"

#define OEM_ID	    "MICROV"   /* 6 characters */
#define OEM_TABLE   "MICROVM " /* 8 characters */
#define TABLE_ALIGN 16	       /* tables start at a multiple of 16 bytes */

struct rsdp { /* ACPI 6.4, 5.2.5.3 */
	char signature[8];
	uint8_t checksum; /* covers the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));

#define RSDP_V1_SIZE 20

struct table_header { /* ACPI 6.4, 5.2.6 */
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct gas { /* generic address structure, ACPI 6.4, 5.2.3.2 */
	uint8_t space;
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access_size;
	uint64_t address;
} __attribute__((packed));

#define GAS_SYSTEM_IO	1
#define GAS_ACCESS_BYTE 1

/*
 * Fixed ACPI Description Table (ACPI 6.4, 5.2.9), revision 6. Hardware-reduced platforms leave all
 * PM1, PM2, PM timer and GPE blocks empty, so fixed_hardware and x_fixed_hardware are only padding
 * here.
 */
struct fadt {
	struct table_header header;
	uint32_t facs, dsdt;
	uint8_t reserved0, preferred_pm_profile;
	uint16_t sci_int;
	uint8_t fixed_hardware[61];
	uint16_t iapc_boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_revision;
	uint64_t x_facs, x_dsdt;
	struct gas x_fixed_hardware[8];
	struct gas sleep_control, sleep_status;
	uint64_t hypervisor_id;
} __attribute__((packed));

_Static_assert(sizeof(struct fadt) == 276, "ACPI 6.4, table 5.9");
_Static_assert(offsetof(struct fadt, iapc_boot_arch) == 109, "ACPI 6.4, table 5.9");
_Static_assert(offsetof(struct fadt, sleep_control) == 244, "ACPI 6.4, table 5.9");

#define FADT_REVISION	   6
#define FADT_MINOR	   4
#define PM_PROFILE_SERVER  4
#define BOOT_VGA_ABSENT	   (1u << 2)
#define BOOT_RTC_ABSENT	   (1u << 5)
#define FADT_WBINVD	   (1u << 0)
#define FADT_NO_PWR_BUTTON (1u << 4) /* no fixed-hardware button */
#define FADT_NO_SLP_BUTTON (1u << 5)
#define FADT_RESET_REG	   (1u << 10)
#define FADT_HEADLESS	   (1u << 12)
#define FADT_HW_REDUCED	   (1u << 20)

#define MADT_REVISION	   5
#define MADT_LAPIC	   0
#define MADT_IOAPIC	   1
#define MADT_X2APIC	   9
#define MADT_ENABLED	   1u
#define MAX_XAPIC_ID	   254 /* 255 is the broadcast ID */
#define IOAPIC_ID	   0
#define DSDT_REVISION	   2 /* from revision 2 on, integers have 64 bits */
#define XSDT_REVISION	   1
#define RSDP_REVISION	   2
#define BUTTON_PRESSED	   0x80 /* notification value, ACPI 6.4, 5.6.6 */
#define GENERATION_CHANGED 0x80

/* Writer that appends one table after the other to the area. `out` also holds the tables that
 * contain no AML. */
struct writer {
	struct aml out;
	uint64_t gpa; /* GPA of out.buf */
};

static uint8_t checksum(const uint8_t *bytes, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *bytes++);
	return (uint8_t)-sum;
}

static size_t begin_table(struct writer *w, const char *signature, uint8_t revision)
{
	struct table_header header = { .revision = revision,
				       .oem_revision = 1,
				       .creator_revision = 1 };
	size_t at;

	while (w->out.len % TABLE_ALIGN && !w->out.full)
		aml_byte(&w->out, 0);
	at = w->out.len;
	memcpy(header.signature, signature, sizeof(header.signature));
	memcpy(header.oem_id, OEM_ID, sizeof(header.oem_id));
	memcpy(header.oem_table_id, OEM_TABLE, sizeof(header.oem_table_id));
	memcpy(header.creator_id, OEM_ID, sizeof(header.creator_id));
	aml_bytes(&w->out, &header, sizeof(header));
	return at;
}

/* Fill in the length and the checksum of the table at offset `at`. Returns its GPA; 0 if it did not
 * fit. */
static uint64_t end_table(struct writer *w, size_t at)
{
	uint8_t *table = w->out.buf + at;
	uint32_t length = (uint32_t)(w->out.len - at);

	if (w->out.full)
		return 0;
	memcpy(table + offsetof(struct table_header, length), &length, sizeof(length));
	table[offsetof(struct table_header, checksum)] = checksum(table, length);
	return w->gpa + at;
}

static void dsdt_device(struct aml *aml, const struct dev_desc *desc, const char *name,
			const char *hid, uint32_t uid)
{
	size_t device = aml_begin_device(aml, name);
	struct aml_crs crs;

	aml_name_string(aml, "_HID", hid);
	aml_name_integer(aml, "_UID", uid);
	crs = aml_begin_crs(aml);
	if (desc->pio)
		aml_crs_ports(aml, (uint16_t)desc->base, (uint8_t)desc->size);
	else
		aml_crs_memory(aml, (uint32_t)desc->base, desc->size);
	if (desc->gsi != DEV_NO_GSI)
		aml_crs_interrupt(aml, desc->gsi);
	aml_end_crs(aml, crs);
	aml_end(aml, device);
}

/* Add a Generic Event Device (5.6.9), which notifies the device `target` of `value` when the
 * interrupt arrives: there is no fixed hardware that could. */
static void dsdt_event(struct aml *aml, const char *name, uint32_t uid, uint32_t gsi,
		       const char *target, uint32_t value)
{
	size_t device = aml_begin_device(aml, name);
	struct aml_crs crs;
	size_t method;

	aml_name_string(aml, "_HID", "ACPI0013");
	aml_name_integer(aml, "_UID", uid);
	crs = aml_begin_crs(aml);
	aml_crs_interrupt(aml, gsi);
	aml_end_crs(aml, crs);
	method = aml_begin_method(aml, "_EVT", 1);
	aml_notify(aml, target, value);
	aml_end(aml, method);
	aml_end(aml, device);
}

/* Add the power button, which is a device (4.8.2.2.1.2). */
static void dsdt_button(struct aml *aml, const struct dev_desc *desc)
{
	size_t device = aml_begin_device(aml, "PWRB");

	aml_name_string(aml, "_HID", "PNP0C0C");
	aml_name_integer(aml, "_UID", 0);
	aml_end(aml, device);
	dsdt_event(aml, "GED_", 0, desc->gsi, "PWRB", BUTTON_PRESSED);
}

/* Add the VM Generation ID, as Microsoft's specification of that name wants it. */
static void dsdt_generation(struct aml *aml, const struct dev_desc *desc)
{
	static const char id[] = "VM_Gen_Counter";
	size_t device = aml_begin_device(aml, "VGEN"), address;

	aml_name_string(aml, "_HID", "UVMM0001");
	aml_name_string(aml, "_CID", id);
	aml_name_string(aml, "_DDN", id);
	address = aml_begin_name_package(aml, "ADDR", 2);
	aml_integer(aml, (uint32_t)desc->base);
	aml_integer(aml, (uint32_t)(desc->base >> 32));
	aml_end(aml, address);
	aml_end(aml, device);
	dsdt_event(aml, "GED1", 1, desc->gsi, "VGEN", GENERATION_CHANGED);
}

static void dsdt_devices(struct aml *aml, const struct devlist *devices)
{
	unsigned int serials = 0, disks = 0;
	char name[16];

	for (unsigned int i = 0; i < devices->count; i++) {
		const struct dev_desc *desc = &devices->dev[i];

		switch (desc->kind) {
		case DEV_SERIAL:
			snprintf(name, sizeof(name), "COM%X", (serials + 1) & 0xf);
			dsdt_device(aml, desc, name, "PNP0501", serials++);
			break;
		case DEV_VIRTIO_BLK:
			snprintf(name, sizeof(name), "VD%02X", disks & 0xff);
			dsdt_device(aml, desc, name, "LNRO0005", disks++);
			break;
		case DEV_PVPANIC:
			dsdt_device(aml, desc, "PEVT", "QEMU0001", 0);
			break;
		case DEV_POWER_BUTTON:
			dsdt_button(aml, desc);
			break;
		case DEV_GENERATION:
			dsdt_generation(aml, desc);
			break;
		case DEV_ACPI_PM: /* described in the FADT */
		case DEV_I8042_RESET:
		case DEV_EXIT_PORT:
			break;
		}
	}
}

static uint64_t write_dsdt(struct writer *w, const struct devlist *devices)
{
	size_t table = begin_table(w, "DSDT", DSDT_REVISION);
	size_t s5 = aml_begin_name_package(&w->out, "_S5_", 4), scope;

	aml_integer(&w->out, ACPI_SLEEP_TYPE_S5);
	for (int i = 0; i < 3; i++)
		aml_integer(&w->out, 0);
	aml_end(&w->out, s5);
	scope = aml_begin_scope_sb(&w->out);
	dsdt_devices(&w->out, devices);
	aml_end(&w->out, scope);
	return end_table(w, table);
}

static struct gas port_register(uint64_t port)
{
	return (struct gas){ GAS_SYSTEM_IO, 8, 0, GAS_ACCESS_BYTE, port };
}

static uint64_t write_fadt(struct writer *w, const struct devlist *devices, uint64_t dsdt)
{
	size_t at = begin_table(w, "FACP", FADT_REVISION);
	struct fadt fadt = { 0 };

	fadt.preferred_pm_profile = PM_PROFILE_SERVER;
	/* The 8042 (bit 1) and the legacy device flag (bit 0) are clear: there is nothing on an ISA
	 * bus to probe for. */
	fadt.iapc_boot_arch = BOOT_VGA_ABSENT | BOOT_RTC_ABSENT;
	fadt.flags = FADT_WBINVD | FADT_NO_PWR_BUTTON | FADT_NO_SLP_BUTTON | FADT_HEADLESS |
		     FADT_HW_REDUCED;
	fadt.minor_revision = FADT_MINOR;
	fadt.x_dsdt = dsdt;
	for (unsigned int i = 0; i < devices->count; i++) {
		if (devices->dev[i].kind != DEV_ACPI_PM)
			continue;
		fadt.sleep_control = port_register(devices->dev[i].base + ACPI_PM_SLEEP_CONTROL);
		fadt.sleep_status = port_register(devices->dev[i].base + ACPI_PM_SLEEP_STATUS);
		fadt.reset_reg = port_register(devices->dev[i].base + ACPI_PM_RESET);
		fadt.reset_value = ACPI_RESET_VALUE;
		fadt.flags |= FADT_RESET_REG;
	}
	aml_bytes(&w->out, &fadt.facs, sizeof(fadt) - offsetof(struct fadt, facs));
	return end_table(w, at);
}

/* Add a Processor Local APIC structure (5.2.12.2), or a Local x2APIC structure (5.2.12.12) for an
 * ID that does not fit in the former. */
static void madt_cpu(struct aml *out, unsigned int id)
{
	if (id <= MAX_XAPIC_ID) {
		aml_byte(out, MADT_LAPIC);
		aml_byte(out, 8);
		aml_byte(out, (uint8_t)id); /* processor UID */
		aml_byte(out, (uint8_t)id);
		aml_uint(out, MADT_ENABLED, 4);
	} else {
		aml_byte(out, MADT_X2APIC);
		aml_byte(out, 16);
		aml_uint(out, 0, 2);
		aml_uint(out, id, 4);
		aml_uint(out, MADT_ENABLED, 4);
		aml_uint(out, id, 4); /* processor UID */
	}
}

/*
 * Write the MADT. PCAT_COMPAT is clear, so the kernel need not disable the PICs that KVM emulates
 * as well. There are no interrupt source overrides, because every GSI is the I/O APIC pin of that
 * number.
 */
static uint64_t write_madt(struct writer *w, unsigned int cpus)
{
	size_t at = begin_table(w, "APIC", MADT_REVISION);
	struct aml *out = &w->out;

	aml_uint(out, LAYOUT_LAPIC, 4);
	aml_uint(out, 0, 4); /* flags */
	for (unsigned int i = 0; i < cpus; i++)
		madt_cpu(out, i);
	aml_byte(out, MADT_IOAPIC); /* 5.2.12.3 */
	aml_byte(out, 12);
	aml_byte(out, IOAPIC_ID);
	aml_byte(out, 0);
	aml_uint(out, LAYOUT_IOAPIC, 4);
	aml_uint(out, 0, 4); /* first GSI of the I/O APIC */
	return end_table(w, at);
}

static uint64_t write_xsdt(struct writer *w, uint64_t fadt, uint64_t madt)
{
	size_t at = begin_table(w, "XSDT", XSDT_REVISION);

	aml_uint(&w->out, fadt, 8);
	aml_uint(&w->out, madt, 8);
	return end_table(w, at);
}

static void fill_rsdp(struct rsdp *rsdp, uint64_t xsdt)
{
	*rsdp = (struct rsdp){ .revision = RSDP_REVISION, .length = sizeof(*rsdp), .xsdt = xsdt };
	memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
	memcpy(rsdp->oem_id, OEM_ID, sizeof(rsdp->oem_id));
	rsdp->checksum = checksum((uint8_t *)rsdp, RSDP_V1_SIZE);
	rsdp->extended_checksum = checksum((uint8_t *)rsdp, sizeof(*rsdp));
}

int acpi_build(void *area, size_t size, uint64_t gpa, unsigned int cpus,
	       const struct devlist *devices)
{
	struct writer w = { { area, size, 0, false }, gpa };
	struct rsdp rsdp = { 0 };
	uint64_t dsdt, fadt, madt, xsdt;

	aml_bytes(&w.out, &rsdp, sizeof(rsdp));
	dsdt = write_dsdt(&w, devices);
	fadt = write_fadt(&w, devices, dsdt);
	madt = write_madt(&w, cpus);
	xsdt = write_xsdt(&w, fadt, madt);
	if (w.out.full)
		return -ENOSPC;
	fill_rsdp(&rsdp, xsdt);
	memcpy(area, &rsdp, sizeof(rsdp));
	return 0;
}
