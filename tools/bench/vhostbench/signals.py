# SPDX-License-Identifier: BSD-3-Clause
"""Signals that end vhost-bench: each raises Interrupted, but never between the start of a process and its registration."""

import contextlib
import signal

from bootfio.errors import Interrupted

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    def __init__(self):
        self.held, self.pending = False, None
        for name in ENDING:
            signal.signal(name, self.receive)

    def receive(self, signum, _frame):
        for name in ENDING:
            signal.signal(name, signal.SIG_IGN)
        if not self.held:
            raise Interrupted(signum)
        self.pending = signum

    @contextlib.contextmanager
    def hold(self):
        """Delays a signal until the end of the block."""
        self.held = True
        try:
            yield
        finally:
            self.held = False
            if self.pending is not None:
                signum, self.pending = self.pending, None
                raise Interrupted(signum)
