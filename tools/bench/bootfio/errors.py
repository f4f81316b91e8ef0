# SPDX-License-Identifier: BSD-3-Clause
"""What ends boot-and-fio, or one row of it. Exit codes are those of `boot-and-fio --help`."""

USAGE = 2
MISSING = 3


class Fatal(Exception):
    """Ends the program with one line: what, and why."""

    def __init__(self, what, why, code=MISSING):
        super().__init__(f"{what}: {why}")
        self.code = code


class RowFailed(Exception):
    """Ends one row of one monitor; the run goes on."""


class Interrupted(Exception):
    """A signal asks for the end."""

    def __init__(self, signum):
        super().__init__(f"signal {signum}")
        self.code = 128 + signum
