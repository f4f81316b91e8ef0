# SPDX-License-Identifier: BSD-3-Clause
"""Tests of the parts of boot-and-fio that start no process."""

import errno
import json
import os
import random
import struct
import tempfile
import unittest
from unittest import mock

from bootfio import boot, compare, context, fiojson, guest, matrix, monitors, options, probe, report, stats, summary
from bootfio.place import Local
from bootfio.errors import Fatal, RowFailed


def side(iops, total, p50, p99, p999):
    return {"iops": iops, "bw_bytes": int(iops * 4096), "total_ios": total, "runtime": 1000,
            "lat_ns": {"percentile": {"50.000000": p50, "99.000000": p99, "99.900000": p999}}}


def fio_text(read=None, write=None, error=0):
    return "fio: a warning\n" + json.dumps({"fio version": "fio-3.33", "jobs": [
        {"jobname": "job", "error": error, "read": read or {"total_ios": 0}, "write": write or {"total_ios": 0}}]})


class Fio(unittest.TestCase):
    def test_fio_json_of_reads(self):
        found = fiojson.parse(fio_text(side(1000.5, 1000, 900, 5000, 9000)))
        self.assertEqual((found["iops"], found["requests"], found["bandwidth"]), (1000.5, 1000, 4098048))
        self.assertEqual((found["p50_ns"], found["p99_ns"], found["p999_ns"]), (900, 5000, 9000))

    def test_fio_json_of_a_mixture_has_the_slower_percentiles(self):
        found = fiojson.parse(fio_text(side(100, 10, 900, 5000, 9000), side(50, 5, 800, 7000, 8000)))
        self.assertEqual((found["iops"], found["requests"], found["p99_ns"], found["p999_ns"]), (150, 15, 7000, 8000))

    def test_invalid_fio_json(self):
        for text in ("", "fio: killed", "{ broken", '{"jobs": []}', '{"jobs": [{"read": {"total_ios": 3}}]}', fio_text(),
                     fio_text(side(1, 1, 1, 1, 1), error=5)):
            with self.assertRaises(RowFailed, msg=text):
                fiojson.parse(text)


class Statistics(unittest.TestCase):
    def test_median_and_spread(self):
        self.assertEqual(stats.median([3, 1, 2]), 2)
        self.assertEqual(stats.median([4, 1, 2, 3]), 2.5)
        self.assertIsNone(stats.median([]))
        self.assertEqual(stats.spread([90, 100, 120]), 0.15)

    def test_permutation_of_known_answers(self):
        # All high values exceed all low ones: one of C(6,3) ways.
        self.assertAlmostEqual(stats.permutation([1, 2, 3], [4, 5, 6]), 1 / 20)
        self.assertAlmostEqual(stats.permutation([4, 5, 6], [1, 2, 3]), 1.0)
        # Two of the six sums of two out of {1,2,3,4} (3 4 5 5 6 7) are at least 6.
        self.assertAlmostEqual(stats.permutation([1, 3], [2, 4]), 2 / 6)
        self.assertEqual(stats.permutation([7.1] * 4, [7.1] * 4), 1.0)

    def test_random_permutations_approximate_the_exact_test(self):
        low, high = [1.0, 4, 2, 8, 5], [3.0, 9, 7, 6, 10]
        exact = stats.permutation(low, high)
        self.assertEqual(round(exact * 252), exact * 252)
        with mock.patch.object(stats, "EXACT", 250):
            self.assertAlmostEqual(stats.permutation(low, high), exact, delta=0.1)

    def test_effect(self):
        self.assertEqual(stats.effect([1, 2, 3], [4, 5, 6]), (2.5, 1.0))
        self.assertEqual(stats.effect([1, 2], [1, 2])[1], 0)

    def test_holm(self):
        self.assertEqual([round(p, 3) for p in stats.holm([0.01, 0.04, 0.03])], [0.03, 0.06, 0.06])

    def test_worse_by_more_than_the_floor_only(self):
        old = [100.0, 101, 102, 99, 100]
        self.assertLess(stats.worse_p(old, [v * 0.8 for v in old], 0.05, True), 0.01)
        self.assertGreater(stats.worse_p(old, [v * 0.97 for v in old], 0.05, True), 0.5)
        self.assertLess(stats.worse_p(old, [v * 1.2 for v in old], 0.05, False), 0.01)
        self.assertGreater(stats.worse_p(old, [v * 0.5 for v in old], 0.05, False), 0.9)


class Matrix(unittest.TestCase):
    def test_full_matrix(self):
        rows = matrix.rows(matrix.FULL, [1, 4])
        self.assertEqual(len(rows), 5 * 3 * 4 * 2)
        self.assertEqual(len(set(rows)), len(rows))

    def test_subset_by_options(self):
        o = options.parse(["--workloads", "seqread,randrw+fsync", "--depths", "1,128", "--sizes", "64k"])
        names = [str(row) for row in matrix.rows(options.blocks(o, False), [1])]
        self.assertEqual(names, ["seqread 64k depth 1", "seqread 64k depth 128", "randrw+fsync 64k depth 1",
                                 "randrw+fsync 64k depth 128"])

    def test_jobs_are_one_and_one_for_each_virtual_cpu(self):
        o = options.effective(options.parse(["--full"]), False, 8)
        self.assertEqual((o.cpus, o.jobs, o.runs), (4, [1, 4], 5))
        o = options.effective(options.parse(["--full"]), True, 8)
        self.assertEqual((o.cpus, o.jobs), (1, [1]))

    def test_arguments_of_fio(self):
        row = matrix.Row("randrw+fsync", "4k", 32, 2)
        words = matrix.fio_words(row, "/a:b", "libaio", 256 << 20, seconds=0.5)
        for word in ("--rw=randrw", "--fsync=16", "--iodepth=32", "--numjobs=2", "--runtime=500ms", "--filename=/a\\:b",
                     f"--offset_increment={128 << 20}", f"--size={128 << 20}"):
            self.assertIn(word, words)
        self.assertIn("--number_ios=9", matrix.fio_words(row, "x", "libaio", 1 << 28, requests=9))

    def test_mistakes_are_usage_errors(self):
        for words in (["--depths", "0"], ["--depths", "1,1"], ["--sizes", "8k"], ["--runs", "x"], ["--quick", "--full"],
                      ["--size", "1"], ["--nonsense"], ["--peers", "none,qemu"], ["--no-fio", "--no-boot"],
                      ["--counts", "9,3"], ["--kernel", "/nothere"], ["--initrd", "/bin/sh", "--rootfs", "/bin/sh"],
                      ["--microvm", "/etc/passwd"], ["--ours", "blank in:it"], ["--floor", "0"], ["--run", "3"]):
            with self.assertRaises(Fatal, msg=words) as caught:
                options.parse(words)
            self.assertEqual(caught.exception.code, 2)
            self.assertNotIn("\n", str(caught.exception))


SMAPS = """\
1000-2000 r-xp 00000000 fe:01 12 /usr/bin/x
Rss:                 100 kB
Pss:                  50 kB
10000000-18000000 rw-p 00000000 00:00 0 
Rss:               90000 kB
Pss:               90000 kB
18000000-20000000 rw-p 00000000 00:00 0 
Rss:                 500 kB
Pss:                 500 kB
7ff000000000-7ff000001000 rw-p 00000000 00:00 0 [stack]
Rss:                   8 kB
Pss:                   8 kB
"""


class Room(unittest.TestCase):
    def test_the_whole_matrix_fits_into_the_guest(self):
        rows = matrix.rows(matrix.FULL, [1, 4])
        self.assertEqual(max(map(matrix.buffers, rows)), 4 * 128 << 20)
        self.assertEqual(options.ram(rows), 640 << 20)
        self.assertEqual(options.ram(matrix.rows(matrix.QUICK, [1])), 256 << 20)
        self.assertEqual(options.ram([]), 256 << 20)

    def test_counted_runs_fill_the_queue(self):
        for row in matrix.rows(matrix.FULL, [1]):
            few, many = matrix.counts(row, 100, 800)
            self.assertGreaterEqual(few, row.depth)
            self.assertGreaterEqual(many - few, 3 * row.depth)
        self.assertEqual(matrix.counts(matrix.Row("seqread", "64k", 4, 1), 100, 800), (25, 200))


class Counted(unittest.TestCase):
    """Tests runs with a fixed number of requests, with two clocks: the emulator's, which fio reports,
    and the wall clock."""

    def scale(self, seconds_of_a_request, wall_of_a_request):
        wall = [0.0]

        class Fake(guest.Guest):
            def words(self, row, **how):
                return how["requests"]

            def fio(self, words):
                wall[0] += words * wall_of_a_request
                return 0.1 + words * seconds_of_a_request

        context = mock.Mock(logs="/nonexistent")
        with mock.patch("bootfio.guest.time.monotonic", lambda: wall[0]):
            return Fake(monitors.Variant("m", "ours"), context)._warm_up(matrix.Row("randread", "4k", 1, 1), 100, 800)

    def test_quick_requests_are_repeated(self):
        self.assertEqual(self.scale(0.0001, 0.0001), 12)
        self.assertEqual(self.scale(0.01, 0.01), 1)

    def test_wall_clock_limits_a_run_when_the_emulator_clock_stops(self):
        self.assertEqual(self.scale(0.0, 0.0001), 30)
        self.assertEqual(self.scale(0.0, 0.02), 3)
        self.assertEqual(self.scale(0.0, 0.07), 1)

    def test_disturbed_short_run_is_ignored(self):
        times = iter([1.2, 0.1, 1.3])
        row = matrix.Row("randread", "4k", 1, 1)

        class Fake(guest.Guest):
            def words(self, row, **how):
                return []

            def fio(self, words):
                return next(times)

            def look(self):
                return {}

            def result(self):
                return {"iops": 1000.0, "bandwidth": 4096000.0}

        context = mock.Mock(logs="/nonexistent")
        context.options.counts = [100, 800]
        fake = Fake(monitors.Variant("m", "ours"), context)
        fake.scale[row] = 2
        self.assertAlmostEqual(fake._counted(row)[0]["iops"], 1500 / 1.2)

    def test_a_row_that_is_too_slow_ends_with_the_reason(self):
        with self.assertRaisesRegex(RowFailed, "800 requests of each job take 80 s"):
            self.scale(0.0, 0.1)


class Probes(unittest.TestCase):
    def test_memory_beyond_ram_with_ram_in_two_pieces(self):
        self.assertEqual(probe.beyond_ram(SMAPS, 256 << 10), (108, 58))
        self.assertIsNone(probe.beyond_ram(SMAPS, 4 << 20))
        self.assertIsNone(probe.beyond_ram("", 1))

    def test_cpu_time_is_without_guest_time(self):
        fields = ["S"] + ["0"] * 49
        fields[11], fields[12], fields[40] = "700", "300", "600"
        self.assertEqual(probe.cpu_seconds("12 (a ) b) " + " ".join(fields), 100), 4.0)

    def test_counters_of_kvm(self):
        names = [b"exits", b"irq_injections", b"histogram"]
        sizes, offsets = [1, 1, 2], [0, 8, 16]
        blob = struct.pack("<6I", 0, 48, 3, 24, 72, 72 + 3 * 64) + b"kvm-1/vcpu-0".ljust(48, b"\0")
        for name, size, offset in zip(names, sizes, offsets):
            blob += struct.pack("<IhHII", 0, 0, size, offset, 0) + name.ljust(48, b"\0")
        blob += struct.pack("<4Q", 12345, 678, 1, 2)
        self.assertEqual(probe.parse_stats(blob), {"exits": 12345, "irq_injections": 678})

    def test_unknown_counters_are_left_out(self):
        before, after = {"cpu": 1.0, "exits": 10, "irqs": None}, {"cpu": 1.5, "exits": 30, "irqs": None}
        self.assertEqual(probe.per_request(before, after, 1000), {"cpu_ms_per_1000": 500.0, "exits_per_request": 0.02})


class Boot(unittest.TestCase):
    def test_durations_of_observed_stages(self):
        at = {"init": 0.5, "off": 0.7, "gone": 0.8}
        found = [(s, round(v, 6)) for s, v in boot.durations(at, 0.1)]
        self.assertEqual(found, [("first_run", 0.1), ("init", 0.4), ("off", 0.2), ("gone", 0.1)])

    def test_kernel_stamp(self):
        self.assertEqual(boot.kernel_stamp("[    0.123456] at-init"), 0.123456)
        # The kernel logs its command line, which contains the same words.
        self.assertIsNone(boot.kernel_stamp("[    0.139269] Kernel command line: run=echo at-init >x"))

    def test_commands_start_the_same_guest(self):
        setup = monitors.Setup("k", 256, 2, rootfs="a,b", vmlinux="v", binaries={
            "microvm": "m", "qemu": "q", "lkvm": "l", "firecracker": "f"})
        with tempfile.TemporaryDirectory() as work:
            place = Local(work)
            for variant in (monitors.Variant("m", "ours", "poll-us=0", "microvm"), monitors.Variant("q", "qemu", "native"),
                            monitors.Variant("l", "lkvm"), monitors.Variant("f", "firecracker", "Async")):
                words = monitors.command(variant, setup, "d,e", "echo 1", place)
                if variant.kind == "firecracker":
                    with open(words[-1], encoding="utf-8") as file:
                        words = [file.read().replace('\\"', '"')]
                else:
                    self.assertEqual(words[0], variant.name)
                line = " ".join(words)
                self.assertIn('root=/dev/vda ro run="echo 1"', line)
                comma = ",," if variant.kind in ("ours", "qemu") else ","
                self.assertIn(f"a{comma}b", line)
                self.assertIn(f"d{comma}e", line)
                if variant.kind == "lkvm":
                    self.assertIn("-p virtio_mmio.device=512@0xd3000000:5 virtio_mmio.device=512@0xd3000200:6 console=", line)

    def test_lkvm_without_virtio_mmio(self):
        for transports, lacks in (("[pci|pci-legacy]", True), ("[pci|pci-legacy|mmio|mmio-legacy]", False)):
            said = f"    --debug-mmio   Enable\n    --virtio-transport <{transports}>\n        Type of virtio transport\n"
            self.assertIs(monitors.lkvm_lacks_mmio(said), lacks)
        self.assertFalse(monitors.lkvm_lacks_mmio("what?"))


def result(iops, boots=(), kind="ours", runs_of_peer=(500.0,) * 5):
    """Returns a complete result with one row, for microvm and the host."""
    def runs(values):
        return [{"iops": v, "bandwidth": v * 4096, "p50_ns": 1e5, "p99_ns": 2e5, "p999_ns": 3e5} for v in values]
    return {"format": 1, "date": "then", "argv": ["boot-and-fio"], "complete": True, "place": "native", "clock": "c",
            "options": {"cpus": 1, "memory": 256 << 20}, "machine": {"cpu": "a <CPU>", "cpus": 2, "kernel": "6.1"},
            "versions": {"fio": "fio-3"}, "skipped": [{"name": "lkvm", "reason": "lkvm not found"}],
            "memory": {"microvm": {"rss_kib": 1800, "pss_kib": 1500}},
            "variants": [{"name": "microvm", "kind": kind, "detail": "", "command": ["microvm"]},
                         {"name": "host", "kind": "host", "detail": "", "command": ["fio"]}],
            "boots": {"microvm": {"runs": [{"init": b / 2, "gone": b} for b in boots]}} if boots else {},
            "rows": [{"workload": "randread", "bs": "4k", "depth": 1, "jobs": 1, "variants": {
                "microvm": {"runs": runs(iops)}, "host": {"runs": runs(runs_of_peer)}}}]}


class Compare(unittest.TestCase):
    def judged(self, old, new, floor=0.05):
        with tempfile.TemporaryDirectory() as work:
            paths = [os.path.join(work, name) for name in ("old.json", "new.json")]
            for path, content in zip(paths, (old, new)):
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(content, file)
            return compare.compare(*paths, floor)

    def test_regression_is_detected(self):
        random.seed(5)
        old = [random.gauss(1000, 20) for _ in range(5)]
        text, code = self.judged(result(old), result([random.gauss(850, 20) for _ in range(5)]))
        self.assertEqual(code, 1, text)
        self.assertIn("REGRESSION", text)

    def test_slower_boot_is_detected(self):
        text, code = self.judged(result([1e3] * 5, [1, 1.01, 0.99, 1.02, 1.0]), result([1e3] * 5, [1.2, 1.21, 1.19, 1.22, 1.2]))
        self.assertEqual(code, 1, text)

    def test_equal_runs_are_no_regression(self):
        random.seed(7)
        for _ in range(200):
            a, b = ([random.gauss(1000, 30) for _ in range(5)] for _ in range(2))
            text, code = self.judged(result(a), result(b))
            self.assertEqual(code, 0, text)

    def test_loss_within_the_floor_is_no_regression(self):
        old = [1000.0, 1001, 1002, 999, 1000]
        self.assertEqual(self.judged(result(old), result([v * 0.9 for v in old]), 0.2)[1], 0)
        self.assertEqual(self.judged(result(old), result([v * 0.9 for v in old]), 0.05)[1], 1)

    def test_faster_result_is_no_regression(self):
        text, code = self.judged(result([1000.0] * 5), result([1500.0] * 5))
        self.assertEqual(code, 0)
        self.assertIn("better", text)

    def test_single_run_is_not_judged(self):
        text, code = self.judged(result([1000.0]), result([500.0]))
        self.assertEqual(code, 0)
        self.assertIn("too few runs", text)

    def test_incomparable_results_are_refused(self):
        other = {**result([1.0]), "place": "emulated"}
        for old, new in ((result([1.0]), other), (result([1.0]), {"format": 9}), ([], result([1.0])),
                         (result([1.0], kind="qemu"), result([1.0]))):
            with self.assertRaises(Fatal) as caught:
                self.judged(old, new)
            self.assertEqual(caught.exception.code, 3)


class Files(unittest.TestCase):
    def test_full_disk_is_reported_in_one_line(self):
        with tempfile.TemporaryDirectory() as work:
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            for call in ("posix_fallocate", "fsync"):
                with mock.patch("os." + call, side_effect=full), self.assertRaises(Fatal) as caught:
                    context.write_file(os.path.join(work, "x.img"), 1 << 20)
                self.assertEqual(caught.exception.code, 3)
                self.assertIn("the disk is full", str(caught.exception))
                self.assertEqual(os.listdir(work), [])


class Report(unittest.TestCase):
    def test_share_of_the_host(self):
        lines = summary.rows(result([250.0]))[0][1]
        self.assertEqual(lines[0]["of_host"], 0.5)
        self.assertEqual(lines[0]["iops"], 250)

    def test_report_and_plots_are_well_formed(self):
        import xml.etree.ElementTree as tree
        content = result([100.0, 110, 90], [1.0, 1.1])
        content["rows"][0]["variants"]["host"]["error"], content["rows"][0]["variants"]["host"]["log"] = "a <b>", "x.log"
        drawn = report.plots(content)
        self.assertEqual([name for name, _ in drawn], ["iops.svg", "latency.svg", "boot.svg"])
        for _, picture in drawn:
            tree.fromstring(picture)
        page = report.html(content, drawn)
        self.assertIn("a &lt;b&gt;", page)
        self.assertIn("a &lt;CPU&gt;", page)
        self.assertIn("lkvm not found", page)
        for text in (page, summary.text(content)):
            self.assertIn("1800", text)

    def test_emulated_result_has_a_warning(self):
        content = {**result([1.0]), "place": "emulated"}
        self.assertIn("only ratios are meaningful", summary.text(content))
        self.assertIn("only ratios are meaningful", report.html(content, []))
