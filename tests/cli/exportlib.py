# SPDX-License-Identifier: BSD-3-Clause
# Parts of tests/cli/export and export-control: microvm-blk, a front end that sends a few messages, and checks.
import array
import mmap
import os
import re
import signal
import select
import socket
import struct
import subprocess

DISK = 1 << 20
# A test that waits this many seconds for the program has failed.
LIMIT = 60

GET_FEATURES, SET_FEATURES, SET_OWNER, GET_PROTOCOL, SET_PROTOCOL, GET_CONFIG, ADD_MEM = 1, 2, 3, 15, 16, 24, 37
VRING_NUM, VRING_ADDR, VRING_BASE, GET_BASE, VRING_KICK, VRING_CALL, ENABLE, BACKEND_FD = 8, 9, 10, 11, 12, 13, 18, 21
NEED_REPLY = 8


class FrontEnd:
    """A connection to the back end."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(LIMIT)

    @classmethod
    def connect(cls, path):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        return cls(sock)

    def say(self, request, payload=b"", fds=(), flags=0):
        header = struct.pack("=III", request, 1 | flags, len(payload))
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([header + payload], rights)

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def ask(self, request, payload=b"", fds=(), flags=0):
        self.say(request, payload, fds, flags)
        answer, flags, size = struct.unpack("=III", self.read(12))
        assert (answer, flags) == (request, 5), (answer, flags)
        return self.read(size)

    def number(self, request, payload=b"", fds=(), flags=0):
        return struct.unpack("=Q", self.ask(request, payload, fds, flags))[0]

    def sectors(self):
        """Returns the disk's capacity, after the messages with which QEMU begins."""
        self.number(GET_FEATURES)
        self.say(SET_PROTOCOL, struct.pack("=Q", self.number(GET_PROTOCOL)))
        self.say(SET_OWNER)
        config = self.ask(GET_CONFIG, struct.pack("=III", 0, 60, 0) + bytes(60))
        return struct.unpack_from("<Q", config, 12)[0]

    def ended(self):
        try:
            return not self.sock.recv(1)
        except ConnectionResetError:
            return True

    def close(self):
        self.sock.close()


class Ring:
    """Queue 0 of a front end, a split ring of 16 entries, and the driver of it. All in one region of memory."""

    DESC, AVAIL, USED, BUFFERS, SIZE, USER = 0, 0x1000, 0x2000, 0x10000, 1 << 20, 0x7F0000000000
    READ, WRITE, OK, IOERR = 0, 1, 0, 1

    def __init__(self, front):
        self.front, self.offered = front, 0
        memory = os.memfd_create("ram")
        os.truncate(memory, self.SIZE)
        self.ram = mmap.mmap(memory, self.SIZE)
        self.kick, self.call = os.eventfd(0), os.eventfd(0)
        front.say(SET_FEATURES, struct.pack("=Q", 1 << 32 | 1 << 30))
        front.say(ADD_MEM, struct.pack("=QQQQQ", 0, 0, self.SIZE, self.USER, 0), [memory])
        os.close(memory)
        front.say(VRING_NUM, struct.pack("=II", 0, 16))
        front.say(VRING_ADDR, struct.pack("=IIQQQQ", 0, 0, *(self.USER + at for at in (self.DESC, self.USED, self.AVAIL)), 0))
        self.start(0)

    def start(self, base):
        self.front.say(VRING_BASE, struct.pack("=II", 0, base))
        self.front.say(VRING_CALL, struct.pack("=Q", 0), [self.call])
        self.front.say(VRING_KICK, struct.pack("=Q", 0), [self.kick])
        self.front.say(ENABLE, struct.pack("=II", 0, 1))

    def stop(self):
        """Returns the position of the stopped ring."""
        return struct.unpack("=II", self.front.ask(GET_BASE, struct.pack("=II", 0, 0)))[1]

    def offer(self, kind, sector, data=bytes(512)):
        """Makes a request available. It has one of five places, in turn, with three descriptors each."""
        place = self.offered % 5
        buffer = self.BUFFERS + place * 0x2000
        struct.pack_into("<IIQ", self.ram, buffer, kind, 0, sector)
        self.ram[buffer + 512:buffer + 512 + len(data)] = data
        self.ram[buffer + 0x1FFF] = 0xFF
        for n, (at, size, flags) in enumerate(((0, 16, 1), (512, len(data), 1 if kind else 3), (0x1FFF, 1, 2))):
            struct.pack_into("<QIHH", self.ram, self.DESC + 16 * (3 * place + n), buffer + at, size, flags, 3 * place + n + 1)
        struct.pack_into("<H", self.ram, self.AVAIL + 4 + 2 * (self.offered % 16), 3 * place)
        self.offered += 1
        struct.pack_into("<H", self.ram, self.AVAIL + 2, self.offered)
        os.eventfd_write(self.kick, 1)
        return place

    def used(self):
        return struct.unpack_from("<H", self.ram, self.USED + 2)[0]

    def status(self, place):
        """Waits until all requests that were offered are finished; returns the status of one."""
        while self.used() != self.offered:
            if not select.select([self.call], [], [], LIMIT)[0]:
                return "hung"
            os.eventfd_read(self.call)
        return self.ram[self.BUFFERS + place * 0x2000 + 0x1FFF]

    def do(self, *request):
        return self.status(self.offer(*request))

    def close(self):
        self.ram.close()
        os.close(self.kick)
        os.close(self.call)


class BackEnd:
    """A microvm-blk that is ready, or has ended."""

    program = "microvm-blk"
    shell = ()  # words before the program's name
    started = []

    @classmethod
    def kill_all(cls):
        """Ends what a test that ended early has left."""
        for process in cls.started:
            if process.poll() is None:
                process.kill()
                process.wait()

    def __init__(self, *words, ready=True, env=None, **more):
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind("notify")
        self.manager.settimeout(LIMIT)
        self.err = open("err", "w+b")
        self.process = subprocess.Popen([*self.shell, self.program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.err,
                                        env=dict(os.environ, NOTIFY_SOCKET=os.path.abspath("notify"), **(env or {})), **more)
        self.started.append(self.process)
        try:
            self.said = self.manager.recv(64) if ready else b""
        except TimeoutError:
            self.said = b"nothing"

    def wait(self):
        try:
            return self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.end()

    def end(self):
        """Returns the exit status, and what was written to standard error."""
        status = self.wait()
        self.err.seek(0)
        text = self.err.read().decode()
        self.err.close()
        self.manager.close()
        os.unlink("notify")
        return status, text


class Tests:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, name, expected, actual):
        good = expected == actual
        self.passed += good
        self.failed += not good
        print(f"ok      {name}" if good else f"FAILED  {name}: expected {expected!r}, got {actual!r}", flush=True)

    def skip(self, name, why):
        self.skipped += 1
        print(f"skip    {name}: {why}")

    def refused(self, name, code, pattern, *words, **more):
        """Checks that the command line is refused with one line that matches, and leaves no file behind."""
        before = listing()
        done = subprocess.run([BackEnd.program, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT,
                              check=False, **more)
        lines = done.stderr.splitlines()
        good = (done.returncode == code and len(lines) == 1 and not done.stdout and lines[0].startswith("microvm-blk: ") and
                re.search(pattern, lines[0]) is not None and listing() == before)
        self.check(name, True, good or (done.returncode, done.stderr, done.stdout, listing() - before))


def listing():
    return {(name, os.lstat(name).st_size, os.lstat(name).st_mtime_ns) for name in os.listdir(".")}
