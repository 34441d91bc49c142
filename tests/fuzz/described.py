"""The third kind: what the gateway's own description allows and forbids, drawn by Schemathesis."""

from contextlib import suppress
from typing import Any

import requests  # type: ignore[import-untyped]  # its stubs are not installed
import schemathesis
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

from .drawing import Drawing, Known
from .findings import Report
from .ground import Ground
from .judge import Judge
from .wire import Reply

KIND = "schemathesis"
_CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]
_PATIENCE_S = 15


class Described:
    """Calls every operation as it is described, and as it is not."""

    def __init__(self, drawing: Drawing, ground: Ground, report: Report, judge: Judge) -> None:
        self._drawing = drawing
        self._ground = ground
        self._report = report
        self._judge = judge
        self._session = requests.Session()
        self._session.trust_env = False
        message = ground.gateway.ask("POST", "/v1/events", order("described"), ground.keys["all"]).body
        self._existing = {"account": "main", "tracking_id": message["tracking_id"]}

    def close(self) -> None:
        """No connection is open."""
        self._session.close()

    def strategy(self, operation: Any, mode: GenerationMode) -> SearchStrategy[Any]:
        """What the description allows or forbids; what is named in the path mostly exists."""
        drawn: SearchStrategy[Any] = operation.as_strategy(generation_mode=mode)
        named = {name: value for name, value in self._existing.items() if f"{{{name}}}" in operation.path}
        known = operation.as_strategy(generation_mode=mode, path_parameters=named) if named else drawn
        return drawn | known

    def call(self, case: Any) -> None:
        """The answer to the call was judged."""
        route = f"{case.method} {case.operation.path}"
        headers = {"Authorization": f"Bearer {self._ground.keys['all']}", "Prefer": "wait=0"}
        try:
            response = case.call(session=self._session, headers=headers, timeout=_PATIENCE_S)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader, UnicodeError):
            self._report.count(KIND, route, "unsendable")
            return
        except requests.exceptions.RequestException as error:
            self._report.count(KIND, route, "none")
            raise self._drawing.wrong(type(error).__name__, route, repr(case).encode(), "none") from None
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
            with suppress(Known):  # and there may be more
                raise self._drawing.wrong(complaint, route, shown, told)
        try:
            case.validate_response(response, checks=_CHECKS)
        except FailureGroup as group:
            first = group.exceptions[0]
            complaint = f"{type(first).__name__} {response.status_code}: {first.message or first.title}"
            raise self._drawing.wrong(complaint, route, shown, told) from None


def run_described(ground: Ground, report: Report, judge: Judge, calls: int) -> None:
    """About so many calls, as many of each operation, half of them outside the description."""
    schema = schemathesis.openapi.from_url(f"{ground.gateway.url}/schema/openapi.json")
    schema.config.update(base_url=ground.gateway.url)
    operations: list[Any] = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    each = max(1, calls // (len(operations) * len(modes)))
    drawing = Drawing(KIND, ground, report)
    it = Described(drawing, ground, report, judge)
    for number, operation in enumerate(operations):
        for place, mode in enumerate(modes):
            first = report.seed * 1_000_000 + (number * 2 + place) * 10_000
            drawing.run(it.call, it.strategy(operation, mode), each, first)
    it.close()
