"""What the two kinds share that draw what they ask: examples until enough were judged, each finding at its smallest."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky, Unsatisfiable
from hypothesis.strategies import SearchStrategy

from .findings import Finding, Report
from .ground import Ground

_AT_ONCE = 100


class Wrong(AssertionError):
    """An answer is not what it must be, and Hypothesis is to find a smaller request that shows it."""


class Known(Exception):
    """An answer is not what it must be, as others were before it."""


class Drawing:
    """Draws what is asked, until there were too many findings."""

    def __init__(self, kind: str, ground: Ground, report: Report) -> None:
        self._kind = kind
        self._ground = ground
        self._report = report
        self._last: tuple[tuple[str, ...], Finding] | None = None

    def run(self, check: Callable[[Any], None], strategy: SearchStrategy[Any], examples: int, first: int) -> None:
        """So many drawn examples were judged by the check; what was wrong with them is in the report."""

        def checked(drawn: Any) -> None:
            with suppress(Known):
                check(drawn)

        done = 0
        while done < examples and not self._report.is_full:
            count = min(_AT_ONCE, examples - done)
            test: Callable[[], None] = settings(
                max_examples=count,
                database=None,
                deadline=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
                print_blob=False,
                report_multiple_bugs=False,
            )(seed(first + done)(given(strategy)(checked)))
            try:
                test()
            except Unsatisfiable:
                return  # nothing can be outside the description of what takes nothing
            except (Wrong, Flaky):  # what a request has changed may keep it from being seen again
                if self._last is None:
                    raise
            self._keep()
            done += count

    def wrong(self, complaint: str, route: str, request: bytes, answer: str, *apart: str) -> Exception:
        """What to raise; findings are told apart by the complaint's beginning, the route and what is given further."""
        key = (self._kind, complaint.partition(":")[0][:60], route, *apart)
        if self._report.knows(key):
            return Known()
        self._last = key, Finding(self._kind, self._report.seed, complaint, route, request, answer)
        return Wrong(complaint)

    def _keep(self) -> None:
        """The smallest example of what was wrong is in the report, and so are alarms in the log."""
        if self._last is not None:
            self._report.add(*self._last)
        self._last = None
        for alarm in self._ground.alarms():
            finding = Finding(self._kind, self._report.seed, alarm, "log", b"(one of the last requests)", "")
            self._report.add(("log", alarm), finding)
