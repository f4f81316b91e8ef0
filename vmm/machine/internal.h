/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * internal: struct machine and functions shared by the files of vmm/machine/.
 *
 * No file outside this folder may include this header. The main thread calls the functions, unless
 * a comment names another one. "Logged" below means that a failure has already been reported to the
 * user as one log line.
 */
#ifndef VMM_MACHINE_INTERNAL_H
#define VMM_MACHINE_INTERNAL_H

#include <stdbool.h>

#include "dataplane/blkplane.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/mmio.h"
#include "vmm/bus.h"
#include "vmm/machine/vm_sandbox.h"
#include "vmm/control/commands.h"
#include "vmm/control/socket.h"
#include "vmm/kvm/vcpu_pause.h"
#include "vmm/boot/loader.h"
#include "vmm/machine/machine.h"
#include "vmm/kvm/memory.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/kvm/vm.h"
#include "vmm/state/working_set.h"

struct disk {
	struct blk *blk;
	struct virtio_mmio mmio;
};

/* Endpoint of --console: a pseudo-terminal, a file or a socket. Unused descriptors are -1. */
struct console_end {
	int fd;			      /* the master side of the pseudo-terminal, or the file */
	int slave_fd;		      /* keeps the master side from hanging up */
	bool created;		      /* the file did not exist before */
	struct control_socket socket; /* the socket to which clients connect */
	char slave[32];		      /* path of the pseudo-terminal */
};

/* A VM. The members are in the order in which the set-up fills them. */
struct machine {
	const struct machine_config *config;
	const struct supervisor_link *link;
	struct vm_exit vm_exit;
	struct vm_sandbox vm_sandbox;
	int end_fd;	    /* an eventfd, signalled when vm_exit.why is set */
	int signal_fd;	    /* a signalfd of the signals that stop the VM */
	uint32_t exit_byte; /* the guest's byte | EXIT_BYTE_WRITTEN; atomic; set once; 0: none */
	bool watched;	    /* a terminal shows the console */
	bool confined;	    /* the process is sandboxed: paths may be inaccessible */
	bool guest_runs;    /* the guest may have executed instructions */
	uint64_t stop_at;   /* deadline of a requested stop; ns, CLOCK_MONOTONIC; 0: none */
	struct restore *restore;       /* the snapshot of --restore; NULL: a kernel is booted */
	int snapshot_fd;	       /* the directory of --snapshot-dir; -1: none */
	int pagemap_fd;		       /* /proc/self/pagemap, with --snapshot-dir; -1: none */
	struct identity next_identity; /* that of the next snapshot, once 1 is added */
	struct devlist devices;
	struct memory memory;
	struct bus pio;
	struct bus mmio;
	unsigned int disk_count;
	struct disk disk[DEVLIST_MAX_DISKS];
	struct loader loader;
	struct arch_boot *boot;
	struct vm vm;
	struct arch_state *arch_state; /* NULL without --snapshot-dir */
	int serial_irq_fd;	       /* an eventfd: the serial port's interrupt */
	int serial_wake_fd;	       /* an eventfd: the serial port has output for the console */
	int button_fd;	   /* an eventfd: a write presses the power button; -1: no button */
	int generation_fd; /* an eventfd: tells the guest of a new VM Generation ID; -1: none */
	int ack_sink_fd;   /* an eventfd that is never read; see sink_acks */
	struct serial *serial;
	struct console_end console_end;
	struct console *console;
	struct vcpu_pause vcpu_pause;
	unsigned int vcpu_count;
	struct vcpu *vcpu;
	struct exits *exits; /* counters of each vCPU; NULL without --stats */

	struct commands commands; /* used with --control only */
};

/* Opens the images and creates the disks' devices. 0 or -errno, logged. */
int machine_create_disks(struct machine *m);

/* Maps each disk's read-only register page into the guest, if the host supports this. Called after
 * vm_map_memory and before the devices are attached. 0 or -errno. */
int machine_map_regpages(struct machine *m);

/* Attaches each of m->devices to its bus, interrupt and doorbells; disks and VM exist already. 0 or
 * -errno, logged. */
int machine_attach_devices(struct machine *m);

/* Gives the guest a random VM Generation ID, if the machine has the device, and tells a guest that
 * is restored. Called when KVM's state is restored, which would undo the interrupt. 0 or -errno,
 * logged. */
int machine_new_generation(struct machine *m);

/* Opens the endpoint of --console, unless it is the standard streams. 0 or -errno, logged. */
int machine_console_open(struct machine *m);

/* Opens the console on the endpoint, and puts a terminal into raw mode. 0 or -errno, logged. */
int machine_console_start(struct machine *m);

/* Truncates the file, or prints the path of the pseudo-terminal. Called after the steps that may
 * fail on a host, and before the main thread installs its seccomp filter, which forbids ftruncate.
 * 0 or -errno, logged. */
int machine_console_ready(struct machine *m);

/* Closes the console and its endpoint. With `remove`, the socket and a file that was
 * created are removed: the guest has not run, and the process is not sandboxed. */
void machine_console_close(struct machine *m, bool remove);

/* Answers CONTROL_CONSOLE: whether the client will type, or an error if there is no console. */
void machine_console_answer(const struct machine *m, struct control_answer *answer);

/* Attaches a client of the control socket to the console; commands_ops.leave. */
void machine_console_leave(struct machine *m, int fd, const char *data, size_t len);

/* Returns the object that describes the console in the answer to `status`. The caller owns it. */
struct json_object *machine_console_object(const struct machine *m);

/* Opens the control socket (--control). 0 or -errno, logged. */
int machine_control_open(struct machine *m);

/* Sends the shutdown event, stops the vCPUs and ends the job thread when vm_exit.why is set. */
void machine_control_end(struct machine *m);

/* The functions of pause.c; job thread. machine_stop_vcpus stops the vCPUs alone, until
 * vcpu_pause_release. */
void machine_stop_vcpus(struct machine *m);
void machine_halt(struct machine *m);
void machine_resume(struct machine *m);

/* Returns true once the VM is ending; jobs are cut short then. */
bool machine_is_ending(const struct machine *m);

/* Opens what --snapshot-dir needs while paths are accessible. 0 or -errno, logged. */
int machine_snapshots_open(struct machine *m);

/* Number of descriptors that a snapshot opens: its directory, both files and the disks' clones. */
#define MACHINE_SNAPSHOT_FDS (3 + DEVLIST_MAX_DISKS)

/* Executes the commands snapshot and record, jobs of a struct control_job; job thread. */
void machine_snapshot(struct job *job);

/* Returns whether the disk's image can be cloned: it is no block device. Any thread. */
bool machine_can_clone(const struct machine *m, unsigned int disk);

/* Writes the content of a paused disk to `fd`, an empty file. 0 or -errno; -ECANCELED: the VM is
 * ending. Job thread. */
int machine_clone_disk(const struct machine *m, unsigned int disk, int fd);

/* Opens and checks the snapshot of --restore, if there is one, and replaces m->config by a copy
 * that has its size. 0 or -errno, logged. */
int machine_restore_open(struct machine *m);

/* Returns the memory file of the snapshot; -1: none. */
int machine_restore_memory(const struct machine *m);

/* Completes guest RAM by the pages of a diff, and maps those of --prefault, if there is a snapshot. 0
 * or -errno, logged. */
int machine_restore_fill(struct machine *m);

/* Checks the disks against the snapshot, if there is one. 0 or -errno, logged. */
int machine_restore_check(struct machine *m);

/* Restores the vCPUs, KVM's devices and the serial port, all of which are attached, if there is a
 * snapshot. 0 or -errno, logged. */
int machine_restore_vcpus(struct machine *m);

/* Restores and starts the disks, if there is a snapshot; in the sandbox. 0 or -errno, logged. */
int machine_restore_disks(struct machine *m);

/* Closes the snapshot. */
void machine_restore_close(struct machine *m);

/* Opens signal_fd for the stop signals, which startup_hold_signals has blocked. 0 or -errno,
 * logged. */
int machine_stop_open(struct machine *m);

/* Handles pending signals during the set-up. -ECANCELED if one of them ends the VM, else 0. */
int machine_stop_asked(struct machine *m);

/* Handles pending stop signals; called when signal_fd is readable. */
void machine_stop_take(struct machine *m);

/* Returns the time until the deadline of a requested stop in ms (-1: none), for poll(2). */
int machine_stop_prepare(const struct machine *m);

/* Ends the VM if the deadline of a requested stop has passed. */
void machine_stop_handle(struct machine *m);

/* Presses the power button. A paused guest sees this after it is resumed. */
void machine_press_button(const struct machine *m);

#define EXIT_BYTE_WRITTEN 0x100u

/* Adds the register of --exit-port to its bus. 0 or -errno. */
int machine_attach_exit_port(struct machine *m, const struct dev_desc *desc);

/* Returns the log level of the messages about the end of the VM: info, or debug with --quiet. */
enum log_level machine_end_level(const struct machine *m);

/* Changes VM_END_REBOOT in vm_exit.why to VM_END_PANIC_REBOOT if the guest's console has shown a
 * panic. Called when vm_exit.why is set. */
void machine_end_settle(struct machine *m);

/* Logs why the VM has ended, with the last line of the guest's console. Called when the vCPUs and
 * the console have ended. */
void machine_end_explain(struct machine *m);

#endif
