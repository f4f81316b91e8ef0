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
#include "vmm/control/server.h"
#include "vmm/control/socket.h"
#include "vmm/control/jobs.h"
#include "vmm/kvm/vcpu_pause.h"
#include "vmm/boot/loader.h"
#include "vmm/machine/machine.h"
#include "vmm/kvm/memory.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/kvm/vm.h"

/* A control request, or a pause caused by a disk, that runs as a job (jobs.h). */
struct control_job {
	struct job job;
	struct machine *machine;
	unsigned int client;
	struct control_request request; /* a copy without the id, which the server keeps */
	struct control_answer answer;
	bool changed; /* the job has paused or resumed the guest */
	struct {
		uint64_t pages; /* that the guest has of its own */
		uint64_t
			paused_us; /* duration of the pause; with `stay`, until the files were written */
		uint64_t total_us; /* until the snapshot was on stable storage */
	} snapshot;
};

/* A disk, and the alerts of its queues on their way from dataplane threads to the main thread. */
struct disk {
	struct blk *blk;
	struct virtio_mmio mmio;
	struct blkplane_listener listener;
	/* Why the queue is broken (static string), until the event has been sent; atomic. */
	const char *broken[VIRTIO_MAX_QUEUES];
	/* The I/O error that stopped the VM, until the event has been sent; atomic. Bits 0-7 hold
	 * enum io_op + 1, the higher bits errno; 0: no error. */
	uint32_t stopped[VIRTIO_MAX_QUEUES];
	/* A copy of `stopped` that lasts until the VM is resumed; atomic. The status command shows
	 * it. */
	uint32_t kept[VIRTIO_MAX_QUEUES];
	struct machine *machine;
};

/* What --console names. Descriptors are -1 if there is no such thing. */
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
	struct restore *restore; /* the snapshot of --restore; NULL: a kernel is booted */
	int snapshot_fd;	 /* the directory of --snapshot-dir; -1: none */
	int pagemap_fd;		 /* /proc/self/pagemap, with --snapshot-dir; -1: none */
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

	/* The members below are used with --control only; `control` and `jobs` are NULL without
	 * it. */
	struct control_handler handler;
	struct control *control;
	struct jobs *jobs;
	int alert_fd; /* an eventfd, signalled when a disk has an alert */
	struct control_job control_job[CONTROL_CLIENTS]; /* one for each client */
	struct control_job halt;			 /* the pause that a disk requests */
	bool pause_pending;				 /* `halt` is queued or running */
	bool guest_paused; /* used by the job thread only: the guest is paused */
	bool paused;	   /* used by the main thread only: its copy of guest_paused */
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

/* Opens what --console names, other than the standard streams. 0 or -errno, logged. */
int machine_console_open(struct machine *m);

/* Opens the console on it, and puts the terminal into raw mode. 0 or -errno, logged. */
int machine_console_start(struct machine *m);

/* Truncates the file, or prints the path of the pseudo-terminal, when nothing else can fail; in the
 * sandbox, with the filter of the process. 0 or -errno, logged. */
int machine_console_ready(struct machine *m);

/* Closes the console and what --console names. With `remove`, the socket and a file that was
 * created are removed: the guest has not run, and the process is not sandboxed. */
void machine_console_close(struct machine *m, bool remove);

/* Answers CONTROL_CONSOLE: whether the client will type, or an error if there is no console. */
void machine_console_answer(const struct machine *m, struct control_answer *answer);

/* Attaches a client of the control socket to the console; control_handler.leave. */
void machine_console_leave(struct control_handler *handler, int fd, const char *data, size_t len);

/* Returns the object that describes the console in the answer to `status`. The caller owns it. */
struct json_object *machine_console_object(const struct machine *m);

/* Opens the control socket (--control). 0 or -errno, logged. */
int machine_control_open(struct machine *m);

/* Number of descriptors opened after machine_control_open: the clients, one more that is accepted
 * only to be closed, and the eventfd of the jobs. */
#define MACHINE_CONTROL_FDS (CONTROL_CLIENTS + 2)

/* Starts the job thread if there is a control socket; in the sandbox, before vCPUs start. 0 or
 * -errno, logged. */
int machine_control_start(struct machine *m);

/* Sends the shutdown event, stops the vCPUs and ends the job thread when vm_exit.why is set; jobs
 * that have not begun are dropped. */
void machine_control_end(struct machine *m);

/* Closes all connections. This is the last step of the tear-down but for eventfds, so that a client
 * that sees its connection end can rely on images and KVM being released. */
void machine_control_close(struct machine *m);

/* The functions of pause.c; job thread. machine_stop_vcpus stops the vCPUs alone, until
 * vcpu_pause_release. */
void machine_stop_vcpus(struct machine *m);
void machine_halt(struct machine *m);
void machine_resume(struct machine *m);

/* Returns true once the VM is ending; jobs are cut short then. */
bool machine_is_ending(const struct machine *m);

/* Opens what --snapshot-dir needs while paths are accessible. 0 or -errno, logged. */
int machine_snapshots_open(struct machine *m);

/* Number of descriptors that a snapshot opens: its directory and both files. */
#define MACHINE_SNAPSHOT_FDS 3

/* Executes the command snapshot, the job of a struct control_job; job thread. */
void machine_snapshot(struct job *job);

/* Sends the statistics of a finished snapshot to all listeners in an event, and puts them into the
 * answer. */
void machine_snapshot_tell(struct control_job *job);

/* Opens and checks the snapshot of --restore, if there is one, and replaces m->config by a copy
 * that has its size. 0 or -errno, logged. */
int machine_restore_open(struct machine *m);

/* Returns the memory file of the snapshot; -1: none. */
int machine_restore_memory(const struct machine *m);

/* Checks the disks against the snapshot, if there is one. 0 or -errno, logged. */
int machine_restore_check(struct machine *m);

/* Restores the vCPUs, KVM's devices and the serial port, all of which are attached, if there is a
 * snapshot. 0 or -errno, logged. */
int machine_restore_vcpus(struct machine *m);

/* Restores and starts the disks, if there is a snapshot; in the sandbox. 0 or -errno, logged. */
int machine_restore_disks(struct machine *m);

/* Closes the snapshot. */
void machine_restore_close(struct machine *m);

/* Registers the listeners of the disks' alerts. 0 or -errno, logged. */
int machine_alerts_open(struct machine *m);

/* Sends the events of pending alerts. Called when alert_fd is readable. Returns true if an I/O
 * error stopped a queue, so that the guest has to be paused. */
bool machine_disk_events_handle(struct machine *m);

/* Number of entries that machine_control_prepare fills. */
#define MACHINE_CONTROL_POLLFDS (2 + CONTROL_POLLFDS)

/* Fills the entries that the control socket wants polled and returns the longest time-out in ms
 * (-1: none). */
int machine_control_prepare(struct machine *m, struct pollfd fds[MACHINE_CONTROL_POLLFDS]);

/* Acts on the results of poll(2) for the entries of machine_control_prepare. */
void machine_control_handle(struct machine *m, const struct pollfd fds[MACHINE_CONTROL_POLLFDS]);

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

/* Level of the messages about why the VM ends: --quiet keeps them from the log. */
enum log_level machine_end_level(const struct machine *m);

/* Distinguishes a reboot after a panic, when vm_exit.why is set. */
void machine_end_settle(struct machine *m);

/* Logs why the VM has ended, with the last line of the guest's console. Called when the vCPUs and
 * the console have ended. */
void machine_end_explain(struct machine *m);

/* Returns the I/O errors that stopped the disk's queues, for the status command: an array, which is
 * empty if there are none. The caller owns it. */
struct json_object *machine_alerts_stopped(const struct disk *disk);

/* Clears the I/O errors that machine_alerts_stopped returns, before a resume retries the parked
 * requests. Job thread, while the disks are paused. */
void machine_alerts_forget(struct machine *m);

/* Returns the statistics of all queues of all disks, for the stats command. The caller owns
 * them. */
struct json_object *machine_stats_object(const struct machine *m);

/* Logs the statistics of the queues of one disk (--stats). */
void machine_print_stats(const struct blk_config *config, struct blk *blk);

#endif
