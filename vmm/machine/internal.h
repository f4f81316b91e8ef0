/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * machine_parts: what machine.c and machine_*.c share; for these files only.
 */
#ifndef VMM_MACHINE_PARTS_H
#define VMM_MACHINE_PARTS_H

#include <stdbool.h>

#include "dataplane/blkplane.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/mmio.h"
#include "vmm/bus.h"
#include "vmm/machine/vm_sandbox.h"
#include "vmm/control/server.h"
#include "vmm/control/jobs.h"
#include "vmm/kvm/vcpu_pause.h"
#include "vmm/boot/loader.h"
#include "vmm/machine/machine.h"
#include "vmm/kvm/memory.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/kvm/vm.h"

/* A client's request that takes its time. */
struct control_job {
	struct job job;
	struct machine *machine;
	unsigned int client;
	struct control_request request; /* a copy, without the id */
	struct control_answer answer;
	bool changed; /* whether the guest stands still */
};

struct disk {
	struct blk *blk;
	struct virtio_mmio mmio;
	struct blkplane_listener watch;
	const char *broken[VIRTIO_MAX_QUEUES]; /* atomic; why, until an event has told it */
	/* Atomic; what failed and stopped the VM, until an event has told it: enum io_op + 1 and, 8
	 * bits higher, errno; else 0. */
	uint32_t stopped[VIRTIO_MAX_QUEUES];
	/* Atomic; the same, until the VM is resumed. */
	uint32_t kept[VIRTIO_MAX_QUEUES];
	struct machine *machine;
};

/* In the order in which it is built. */
struct machine {
	const struct machine_config *config;
	struct vm_exit vm_exit;
	struct vm_sandbox vm_sandbox;
	int end_fd;
	int signal_fd;
	bool confined;	  /* the sandbox has begun: there may be no paths any more */
	bool guest_runs;  /* its first instruction may have been done */
	uint64_t stop_at; /* ns, CLOCK_MONOTONIC; 0: nobody has asked for it */
	struct devlist devices;
	struct memory memory;
	struct bus pio;
	struct bus mmio;
	unsigned int disk_count;
	struct disk disk[DEVLIST_MAX_DISKS];
	struct loader loader;
	struct arch_boot *boot;
	struct vm vm;
	int serial_irq_fd;
	int serial_wake_fd;
	int button_fd;	 /* an eventfd: press it by a write */
	int ack_sink_fd; /* an eventfd that nobody reads */
	struct serial *serial;
	struct console *console;
	struct vcpu_pause vcpu_pause;
	unsigned int vcpu_count;
	struct vcpu *vcpu;
	struct exits *exits; /* --stats: one for each vCPU */

	/* What the control socket needs; NULL and unused without it. */
	struct control_handler handler;
	struct control *control;
	struct jobs *jobs;
	int alert_fd; /* an eventfd: a disk has something to tell */
	struct control_job control_job[CONTROL_CLIENTS]; /* of each client */
	struct control_job halt;			 /* a disk's; without a client */
	bool pause_pending;				 /* it is with the jobs' thread */
	bool guest_paused; /* the jobs' thread's: the guest stands still */
	bool paused;	   /* the main thread's: it is known to */
};

/* The disks' images and devices. 0 or -errno, and that is reported. */
int machine_create_disks(struct machine *m);

/* What drivers read of their devices, as memory; after the VM's own. 0 or -errno. */
int machine_map_windows(struct machine *m);

/* Each of m->devices; disks and the VM are made. 0 or -errno, and that is reported. */
int machine_attach_devices(struct machine *m);

/* With --control: the socket. 0 or -errno, and that is reported. */
int machine_control_open(struct machine *m);

/* Descriptors opened after that: clients, one more that is turned away, the jobs' eventfd. */
#define MACHINE_CONTROL_FDS (CONTROL_CLIENTS + 2)

/* And the thread for what takes long: in the sandbox, before vCPUs start. As above. */
int machine_control_start(struct machine *m);

/* The VM is about to end, as m->ender says: nothing is begun any more. */
void machine_control_end(struct machine *m);

/* Last of all: clients that see the end of their connection can rely on it. */
void machine_control_close(struct machine *m);

/* Have the guest stand still, as an operator's pause does, soon. */
void machine_control_halt(struct machine *m);

/* The disks' watches. 0 or -errno, and that is reported. */
int machine_alerts_open(struct machine *m);
/* When alert_fd is readable. */
void machine_disk_events_handle(struct machine *m);

/* One round of the main loop, as in console.h. */
#define MACHINE_CONTROL_POLLFDS (2 + CONTROL_POLLFDS)
int machine_control_prepare(struct machine *m, struct pollfd fds[MACHINE_CONTROL_POLLFDS]);
void machine_control_handle(struct machine *m, const struct pollfd fds[MACHINE_CONTROL_POLLFDS]);

/*
 * The signals that stop it, which machine_hold_signals has blocked, from signal_fd; 0 or -errno, and that is
 * reported. Then, in the main loop and between the steps of the set-up: when signal_fd is readable; the longest
 * time-out in ms (-1: none); and what is due.
 */
int machine_stop_open(struct machine *m);
/* During the set-up: 0, or -ECANCELED when such a signal has come. */
int machine_stop_asked(struct machine *m);
void machine_stop_take(struct machine *m);
int machine_stop_prepare(const struct machine *m);
void machine_stop_handle(struct machine *m);

/* The power button. A guest that stands still finds it pressed. */
void machine_press_button(const struct machine *m);

/* What stopped the VM, as alerts have it, for status: an array, empty when nothing does. */
struct json_object *machine_alerts_stopped(const struct disk *disk);
/* All is about to be done again. On the jobs' thread, while disks stand still. */
void machine_alerts_forget(struct machine *m);

/* Why the VM ends, as in the event of it. */
const char *machine_end_reason(enum vm_end why);

/* What each queue of each disk has seen, for stats. */
struct json_object *machine_stats_object(const struct machine *m);

/* --stats: the same of one disk, to the log. */
void machine_print_stats(const struct blk_config *config, struct blk *blk);

#endif
