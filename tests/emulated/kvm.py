# SPDX-License-Identifier: BSD-3-Clause
# Helpers for Python suites that run VMs.
import os
import sys

# Timeout in seconds for actions that normally take a moment; an emulated host is much slower.
PATIENCE = 300 if os.environ.get("KVMHOST") == "emulated" else 30


def opens():
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
        return True
    except OSError:
        return False


def need(microvm, bare, suite):
    """Returns if /dev/kvm can be opened; otherwise replaces this process by one that runs `suite`
    in an emulated host."""
    if opens():
        return
    run = os.path.join(os.path.dirname(os.path.realpath(__file__)), "run")
    sys.stdout.flush()
    os.execv(run, [run, microvm, bare, suite])
