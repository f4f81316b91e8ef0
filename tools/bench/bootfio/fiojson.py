# SPDX-License-Identifier: BSD-3-Clause
"""Parser of fio's JSON output for one job."""

import json

from .errors import RowFailed

PERCENTILES = (("p50_ns", "50.000000"), ("p99_ns", "99.000000"), ("p999_ns", "99.900000"))


def parse(text):
    """Returns a dict: iops, bandwidth (bytes per second), requests, runtime_ms, p50_ns, p99_ns,
    p999_ns. fio reports the jobs of a row as one group. The percentiles of a mixed workload are
    those of the direction with the slower 99th percentile. Text that fio prints before its JSON is
    skipped."""
    start = text.find("{")
    try:
        job = json.loads(text[start:])["jobs"][0] if start >= 0 else None
    except (ValueError, KeyError, IndexError, TypeError):
        job = None
    if job is None:
        raise RowFailed(f"fio gave no JSON: {' '.join(text.split())[:120] or 'nothing'}")
    if job.get("error"):
        raise RowFailed(f"fio failed with error {job['error']}")
    try:
        return _result([job[d] for d in ("read", "write") if job.get(d, {}).get("total_ios")])
    except (KeyError, TypeError, ValueError) as error:
        raise RowFailed(f"fio's JSON lacks {error}") from error


def _result(sides):
    if not sides:
        raise RowFailed("fio did no request")
    result = {
        "iops": sum(float(side["iops"]) for side in sides),
        "bandwidth": sum(float(side["bw_bytes"]) for side in sides),
        "requests": sum(int(side["total_ios"]) for side in sides),
        "runtime_ms": max(float(side["runtime"]) for side in sides),
    }
    tables = [side.get("lat_ns", {}).get("percentile") for side in sides]
    tables = [table for table in tables if table]
    if tables:
        slow = max(tables, key=lambda table: table["99.000000"])
        result.update((name, float(slow[key])) for name, key in PERCENTILES)
    return result
