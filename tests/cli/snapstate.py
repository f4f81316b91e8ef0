# SPDX-License-Identifier: BSD-3-Clause
# State files of snapshots, for suites that change them.
import struct


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def seal(data):
    """Returns a state file with the checksum of its content."""
    return data[:24] + struct.pack("<I", crc32c(data[:24] + bytes(4) + data[28:])) + data[28:]


def sections(state):
    """Yields tag, and the range of the data, of each section."""
    at = 32
    while at < len(state):
        tag, size = struct.unpack_from("<4s4xI", state, at)
        yield tag, at + 16, size
        at += 16 + (size + 7 & ~7)
