# SPDX-License-Identifier: BSD-3-Clause
# A front end of microvm-blk for tests/vhost/kill: the messages, guest memory, and a driver of split and packed rings. It has
# no guest.
import array
import mmap
import os
import select
import socket
import struct
import threading

(GET_FEATURES, SET_FEATURES, SET_OWNER, SET_NUM, SET_ADDR, SET_BASE, GET_BASE, SET_KICK, SET_CALL) = (1, 2, 3, 8, 9, 10, 11, 12, 13)
(GET_PROTOCOL, SET_PROTOCOL, SET_ENABLE, GET_INFLIGHT, SET_INFLIGHT, ADD_MEM) = (15, 16, 18, 31, 32, 37)
VERSION_1, PACKED, IN_ORDER, PROTOCOL_FEATURES = 1 << 32, 1 << 34, 1 << 35, 1 << 30
REPLY_ACK, NEED_REPLY = 1 << 3, 8
NEXT, WRITE, AVAIL, USED = 1, 2, 1 << 7, 1 << 15
OUT, FLUSH = 1, 4
USER = 0x7F0000000000
# Seconds after which a request counts as lost.
LIMIT = 120


lock = threading.Lock()


def fence():
    """A full memory barrier: a release, and then an acquire."""
    for _ in range(2):
        with lock:
            pass


def load16(data, at):
    # Native formats are loaded and stored whole, others byte by byte.
    return struct.unpack_from("@H", data, at)[0]


def store16(data, at, value):
    fence()
    struct.pack_into("@H", data, at, value)
    fence()


class Memory:
    """Guest memory, from guest address 0 on."""

    def __init__(self, size):
        self.fd = os.memfd_create("ram")
        os.truncate(self.fd, size)
        self.map = mmap.mmap(self.fd, size)
        self.size, self.next = size, 0

    def take(self, size, align=4096):
        at = (self.next + align - 1) // align * align
        self.next = at + size
        assert self.next <= self.size
        return at

    def close(self):
        self.map.close()
        os.close(self.fd)


class Ring:
    """A ring of `size` descriptors, from the driver's side. A slot is a request with three descriptors."""

    def __init__(self, memory, size):
        self.memory, self.size, self.data = memory, size, memory.map
        self.desc, self.avail, self.used = memory.take(16 * size), memory.take(4096), memory.take(4096)
        self.kick, self.call = os.eventfd(0, os.EFD_NONBLOCK), os.eventfd(0, os.EFD_NONBLOCK)

    def close(self):
        os.close(self.kick)
        os.close(self.call)


class SplitRing(Ring):
    def __init__(self, memory, size):
        super().__init__(memory, size)
        self.idx = self.seen = 0

    def offer(self, slot, pieces):
        head = 3 * slot
        for i, (addr, length, flags) in enumerate(pieces):
            more = NEXT if i + 1 < len(pieces) else 0
            struct.pack_into("<QIHH", self.data, self.desc + 16 * (head + i), addr, length, flags | more, head + i + 1)
        struct.pack_into("<H", self.data, self.avail + 4 + 2 * (self.idx % self.size), head)
        self.idx = self.idx + 1 & 0xFFFF
        store16(self.data, self.avail + 2, self.idx)

    def take(self):
        """Returns the slot of the next used element, or None."""
        if load16(self.data, self.used + 2) == self.seen:
            return None
        fence()
        head = struct.unpack_from("<I", self.data, self.used + 4 + 8 * (self.seen % self.size))[0]
        self.seen = self.seen + 1 & 0xFFFF
        return head // 3

    def base(self):
        """Returns the position that Cloud Hypervisor gives after a crash: all requests count as popped."""
        return self.idx


class PackedRing(Ring):
    def __init__(self, memory, size):
        super().__init__(memory, size)
        self.at, self.wrap, self.seen, self.seen_wrap = 0, True, 0, True
        self.length = [0] * size

    def offer(self, slot, pieces):
        first = None
        self.length[slot] = len(pieces)
        for i, (addr, length, flags) in enumerate(pieces):
            flags |= (AVAIL if self.wrap else USED) | (NEXT if i + 1 < len(pieces) else 0)
            struct.pack_into("<QIH", self.data, self.desc + 16 * self.at, addr, length, slot)
            if first is None:
                first = self.at, flags
            else:
                store16(self.data, self.desc + 16 * self.at + 14, flags)
            self.at += 1
            if self.at == self.size:
                self.at, self.wrap = 0, not self.wrap
        store16(self.data, self.desc + 16 * first[0] + 14, first[1])

    def take(self):
        flags = load16(self.data, self.desc + 16 * self.seen + 14)
        if flags & (AVAIL | USED) != (AVAIL | USED if self.seen_wrap else 0):
            return None
        fence()
        slot = load16(self.data, self.desc + 16 * self.seen + 12)
        self.seen += self.length[slot]
        if self.seen >= self.size:
            self.seen, self.seen_wrap = self.seen - self.size, not self.seen_wrap
        return slot

    def base(self):
        """Returns the position of QEMU after a crash, that of the last stop: none."""
        return 0x80008000


class Session:
    """A connection to a microvm-blk."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT)
        self.sock.connect(path)

    def close(self):
        self.sock.close()

    def send(self, request, payload=b"", fds=(), flags=0):
        header = struct.pack("=III", request, 1 | flags, len(payload))
        self.sock.sendmsg([header + payload], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])

    def answer(self, request):
        """Returns the payload of an answer, and its descriptors."""
        header, rights, _, _ = self.sock.recvmsg(12, socket.CMSG_SPACE(4))
        got, flags, size = struct.unpack("=III", header)
        assert (got, flags) == (request, 5), (got, flags)
        fds = array.array("i")
        for _, _, data in rights:
            fds.frombytes(data[:4])
        return self.sock.recv(size, socket.MSG_WAITALL) if size else b"", list(fds)

    def number(self, request):
        self.send(request)
        return struct.unpack("=Q", self.answer(request)[0])[0]

    def say(self, request, payload, fds=()):
        """Sends a message that must be accepted."""
        self.send(request, payload, fds, NEED_REPLY)
        assert self.answer(request)[0] == bytes(8), f"message {request} was refused"

    def begin(self, memory, rings, features, inflight):
        """Starts the rings. Returns the memory that mirrors the requests in flight: sizes and a descriptor."""
        self.send(SET_OWNER)
        offered = self.number(GET_FEATURES)
        protocol = self.number(GET_PROTOCOL)
        self.send(SET_PROTOCOL, struct.pack("=Q", protocol))
        assert protocol & REPLY_ACK and not features & ~offered
        self.say(SET_FEATURES, struct.pack("=Q", features))
        if not inflight:
            self.send(GET_INFLIGHT, struct.pack("=QQHHI", 0, 0, len(rings), rings[0].size, 0))
            sizes, fds = self.answer(GET_INFLIGHT)
            inflight = sizes, fds[0]
        self.say(SET_INFLIGHT, inflight[0], [inflight[1]])
        self.say(ADD_MEM, struct.pack("=QQQQQ", 0, 0, memory.size, USER, 0), [memory.fd])
        for n, ring in enumerate(rings):
            self.say(SET_NUM, struct.pack("=II", n, ring.size))
            self.say(SET_BASE, struct.pack("=II", n, ring.base()))
            self.say(SET_ADDR, struct.pack("=IIQQQQ", n, 0, USER + ring.desc, USER + ring.used, USER + ring.avail, 0))
            self.say(SET_CALL, struct.pack("=Q", n), [ring.call])
            self.say(SET_KICK, struct.pack("=Q", n), [ring.kick])
            self.say(SET_ENABLE, struct.pack("=II", n, 1))
        return inflight

    def stop(self, rings):
        """Stops the rings, and returns their positions."""
        bases = []
        for n in range(len(rings)):
            self.send(GET_BASE, struct.pack("=II", n, 0))
            bases.append(struct.unpack("=II", self.answer(GET_BASE)[0])[1])
        return bases


def wait(rings, seconds):
    """Waits for an interrupt of a ring."""
    ready, _, _ = select.select([ring.call for ring in rings], [], [], max(seconds, 0))
    for fd in ready:
        os.eventfd_read(fd)
