"""The third kind: what the gateway's own description allows and forbids, drawn by Schemathesis."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import requests  # type: ignore[import-untyped]  # its stubs are not installed
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.system.stage import order

from .findings import Finding, Report
from .ground import Ground
from .judge import Judge
from .wire import Reply

KIND = "schemathesis"
_AT_ONCE = 100
_CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]
_PATIENCE_S = 15


class Wrong(AssertionError):
    """An answer is not as described."""


class Described:
    """Calls every operation as it is described, and as it is not."""

    def __init__(self, ground: Ground, report: Report, judge: Judge, end: float) -> None:
        self._end = end
        self._ground = ground
        self._report = report
        self._judge = judge
        self._session = requests.Session()
        self._session.trust_env = False
        message = ground.gateway.ask("POST", "/v1/events", order("described"), ground.keys["all"]).body
        self._existing = {"account": "main", "tracking_id": message["tracking_id"]}
        self._last: tuple[tuple[str, ...], Finding] | None = None

    def close(self) -> None:
        """No connection is open."""
        self._session.close()

    def run(self, operation: Any, mode: GenerationMode, examples: int, first: int) -> None:
        """So many calls of the operation were judged."""
        done = 0
        while done < examples and time.monotonic() < self._end and not self._report.is_full:
            count = min(_AT_ONCE, examples - done)
            check: Callable[[], None] = given(self._strategy(operation, mode))(self._call)
            test: Callable[[], None] = settings(
                max_examples=count,
                database=None,
                deadline=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
                print_blob=False,
                report_multiple_bugs=False,
            )(seed(first + done)(check))
            try:
                with suppress(Wrong):
                    test()
            except Unsatisfiable:
                return  # nothing can be outside the description of what takes nothing
            self._report_last()
            done += count

    def _report_last(self) -> None:
        """The smallest example of what was wrong is a finding."""
        if self._last is not None:
            self._report.add(*self._last)
        self._last = None

    def _strategy(self, operation: Any, mode: GenerationMode) -> SearchStrategy[Any]:
        """What the description allows or forbids; what is named in the path mostly exists."""
        drawn: SearchStrategy[Any] = operation.as_strategy(generation_mode=mode)
        named = {name: value for name, value in self._existing.items() if f"{{{name}}}" in operation.path}
        known = operation.as_strategy(generation_mode=mode, path_parameters=named) if named else drawn
        return drawn | known

    def _call(self, case: Any) -> None:
        route = f"{case.method} {case.operation.path}"
        headers = {"Authorization": f"Bearer {self._ground.keys['all']}", "Prefer": "wait=0"}
        try:
            response = case.call(session=self._session, headers=headers, timeout=_PATIENCE_S)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader, UnicodeError):
            self._report.count(KIND, route, "unsendable")
            return
        except requests.exceptions.RequestException as error:
            self._report.count(KIND, route, "none")
            self._wrong(type(error).__name__, route, repr(case).encode(), "none")
            return
        self._report.count(KIND, route, str(response.status_code))
        sent = response.request
        shown = f"{sent.method} {sent.url} {dict(sent.headers)} {sent.body!r}".encode("utf-8", "replace")
        told = f"{response.status_code} {response.headers} {response.content[:800]!r}"
        pairs = tuple(
            (name.encode(), value.encode("latin-1"))
            for name, values in response.headers.items()
            for value in values
        )
        reply = Reply(response.status_code, pairs, response.content)
        if complaint := self._judge.verdict(reply, is_bodiless=case.method == "HEAD").complaint:
            self._wrong(complaint, route, shown, told)
        try:
            case.validate_response(response, checks=_CHECKS)
        except FailureGroup as group:
            first = group.exceptions[0]
            complaint = f"{type(first).__name__} {response.status_code}: {first.message or first.title}"
            self._wrong(complaint, route, shown, told)

    def _wrong(self, complaint: str, route: str, request: bytes, answer: str) -> None:
        key = (KIND, complaint.partition(":")[0], route)
        if not self._report.knows(key):
            self._last = key, Finding(KIND, self._report.seed, complaint, route, request, answer)
            raise Wrong(complaint)

    def look_at_log(self) -> None:
        """Alarms in the log are findings."""
        for alarm in self._ground.alarms():
            finding = Finding(KIND, self._report.seed, alarm, "log", b"(one of the last calls)", "")
            self._report.add(("log", alarm), finding)


def run_described(ground: Ground, report: Report, judge: Judge, calls: int, end: float = math.inf) -> None:
    """About so many calls, as many of each operation, half of them outside the description."""
    schema = schemathesis.openapi.from_url(f"{ground.gateway.url}/schema/openapi.json")
    schema.config.update(base_url=ground.gateway.url)
    operations: list[Any] = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    each, it = max(1, calls // (len(operations) * len(modes))), Described(ground, report, judge, end)
    for number, operation in enumerate(operations):
        for place, mode in enumerate(modes):
            it.run(operation, mode, each, report.seed * 1_000_000 + (number * 2 + place) * 10_000)
        it.look_at_log()
    it.close()
