# SPDX-License-Identifier: BSD-3-Clause
# For suites in Python that run VMs.
import os
import sys

# Seconds that anything may take which takes a moment: on an emulated host much longer.
PATIENCE = 300 if os.environ.get("KVMHOST") == "emulated" else 30


def opens():
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
        return True
    except OSError:
        return False


def need(microvm, bare, suite):
    """Where /dev/kvm cannot be opened, this process goes on as the one that runs `suite` in an emulated host."""
    if opens():
        return
    run = os.path.join(os.path.dirname(os.path.realpath(__file__)), "run")
    sys.stdout.flush()
    os.execv(run, [run, microvm, bare, suite])
