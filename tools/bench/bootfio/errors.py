# SPDX-License-Identifier: BSD-3-Clause
"""Exceptions that end boot-and-fio, or one row of it. `boot-and-fio --help` lists the exit
codes."""

USAGE = 2
MISSING = 3


class Fatal(Exception):
    """Ends the program with one line that says what failed, and why."""

    def __init__(self, what, why, code=MISSING):
        super().__init__(f"{what}: {why}")
        self.code = code


class RowFailed(Exception):
    """Ends one row of one monitor; the run continues."""


class Interrupted(Exception):
    """Raised when a signal asks the program to end."""

    def __init__(self, signum):
        super().__init__(f"signal {signum}")
        self.code = 128 + signum
