"""The long form."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from .described import run_described
from .findings import Report
from .ground import Ground, ground
from .judge import Judge
from .raw import Raw
from .structured import run_structured

MOST_MIB = 600.0
SHARES = {"raw": 0.7, "hypothesis": 0.2, "schemathesis": 0.1}


def fuzz(it: Ground, report: Report, kinds: list[str], requests: int) -> None:
    """So many requests have been asked, shared by these kinds."""
    judge = Judge(it.canaries())
    whole = sum(SHARES[kind] for kind in kinds)
    shares = {kind: round(requests * SHARES[kind] / whole) for kind in kinds}
    if "schemathesis" in kinds:
        run_described(it, report, judge, shares["schemathesis"])
    if "hypothesis" in kinds:
        run_structured(it, report, judge, shares["hypothesis"])
    if "raw" in kinds:  # what the others could not use is its, too
        asyncio.run(Raw(it, report, judge).run(requests - report.asked))


def main() -> int:
    """0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=int, default=40, help="different findings after which it stops")
    parser.add_argument("--kind", choices=sorted(SHARES), action="append", help="only this kind")
    asked = parser.parse_args()
    report, began = Report(asked.seed, asked.most), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ground(Path(folder)) as it:
        fuzz(it, report, asked.kind or list(SHARES), asked.requests)
        took = time.monotonic() - began
        ends = it.complaints_at_the_end(MOST_MIB)
        memory = it.memory_mib()
    for finding in report.findings.values():
        print(finding)
    for end in ends:
        print(f"[end] {end}")
    print(report.table())
    print(f"{len(report.findings) + len(ends)} findings, {report.asked} requests, {took:.0f} s, {memory:.0f} MiB")
    return 1 if report.findings or ends else 0


if __name__ == "__main__":
    sys.exit(main())
