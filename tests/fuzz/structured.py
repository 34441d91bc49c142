"""The second kind: events, headers and queries around the contract's rules, whose answers are known beforehand."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from .drawing import Drawing
from .findings import Report, route_in
from .ground import Ground
from .judge import Judge
from .strategies import Posted, batches, events, headers, queries
from .wire import Ask, IllFormed, Line, Reply, is_head

KIND = "hypothesis"
_ON = {"events": 0.6, "queries": 0.15, "headers": 0.15, "batches": 0.1}
_FINE = {200, 202, 422}


class Structured:
    """Asks what the strategies draw, and keeps what is wrong with the answers."""

    def __init__(self, drawing: Drawing, ground: Ground, report: Report, judge: Judge) -> None:
        self._drawing = drawing
        self._ground = ground
        self._report = report
        self._judge = judge
        self._line = Line(ground.address)

    def close(self) -> None:
        """No connection is open."""
        self._line.close()

    def event(self, drawn: Posted) -> None:
        """One event, posted and posted again, or previewed."""
        raw = self._posted(drawn, "/v1/events")
        reply = self._ask(raw)
        self._expect(raw, reply, drawn)
        body = json.loads(reply.body)
        if "tracking_id" in body and body.get("code") != "idempotency-conflict":
            again = self._ask(raw)
            same = json.loads(again.body)
            if same.get("tracking_id") != body["tracking_id"] or again.header(b"idempotency-replayed") != b"true":
                raise self._wrong("a replay that is none", raw, again)
        preview = self._posted(drawn, "/v1/events/preview")
        self._expect(preview, self._ask(preview), drawn)

    def batch(self, drawn: list[Posted]) -> None:
        """Several events at once, each decided on its own."""
        body = json.dumps([it.document for it in drawn]).encode()
        headers_of_it = (self._key("all"), ("Content-Type", "application/cloudevents-batch+json"))
        raw = Ask("POST", "/v1/events", headers_of_it, body).bytes()
        reply = self._ask(raw)
        if reply.status == 415:
            return  # batches are not read yet
        if not drawn or (reply.status == 400 and any(it.is_unreadable for it in drawn)):
            if reply.status != 400:
                raise self._wrong("an empty batch that is taken", raw, reply)
            return  # what no reader may take may spoil the whole
        results = json.loads(reply.body).get("results", [])
        if reply.status != 202 or len(results) != len(drawn):
            raise self._wrong("a batch without its results", raw, reply)
        for it, result in zip(drawn, results, strict=True):
            if (it.pointers or it.is_unreadable) and result["http"] != 400:
                raise self._wrong(f"a malformed event in a batch: {result['http']}", raw, reply)
            if ("problem" in result) is (result["http"] < 400):
                raise self._wrong("a result with the wrong member", raw, reply)

    def query(self, drawn: tuple[str, bool]) -> None:
        """A list; `drawn` says whether its parameters are good."""
        query, is_good = drawn
        raw = Ask("GET", f"/v1/messages?{query}", (self._key("all"),)).bytes()
        reply = self._ask(raw)
        if reply.status != (200 if is_good else 400):
            raise self._wrong(f"{'good' if is_good else 'bad'} parameters", raw, reply)
        body = json.loads(reply.body)
        if is_good and not ({"items", "next_cursor"} <= body.keys()):
            raise self._wrong("a page that is none", raw, reply)
        if not is_good and body["code"] != "invalid-request":
            raise self._wrong("another code", raw, reply)

    def header(self, drawn: list[tuple[str, str]]) -> None:
        """An event with odd headers is taken, or refused as malformed or of another media type."""
        event = {"id": "h", "type": "unmapped.type", "data": {}}
        json_type = (
            [] if any(name == "Content-Type" for name, _ in drawn) else [("Content-Type", "application/json")]
        )
        head = (self._key("all"), *json_type, *drawn)
        raw = Ask("POST", "/v1/events", head, json.dumps(event).encode()).bytes()
        reply = self._ask(raw)
        if reply.status not in (400, 401, 403, 415, 422):
            raise self._wrong("odd headers", raw, reply)

    def _expect(self, raw: bytes, reply: Reply, drawn: Posted) -> None:
        body = json.loads(reply.body)
        code = body.get("code")
        if drawn.is_unreadable or drawn.pointers:
            if (reply.status, code) != (400, "malformed-event"):
                raise self._wrong(f"malformed at {sorted(drawn.pointers)} and taken", raw, reply)
            found = {it["pointer"] for it in body.get("errors", [])}
            if not found or not (drawn.is_unreadable or drawn.pointers <= found):
                raise self._wrong(f"malformed at {sorted(drawn.pointers)}, told of {sorted(found)}", raw, reply)
        elif drawn.is_forbidden:
            if (reply.status, code) != (400, "malformed-event") and (reply.status, code) != (
                403,
                "forbidden-event-type",
            ):
                raise self._wrong("a type that is forbidden", raw, reply)
        elif drawn.is_clean and reply.status not in _FINE:
            raise self._wrong("a sound event", raw, reply)

    def _posted(self, drawn: Posted, target: str) -> bytes:
        media_type = "application/cloudevents+json" if drawn.is_structured else "application/json"
        caller = "checkout" if drawn.is_forbidden else "all"
        prefer = ("Prefer", "wait=0")
        head = (self._key(caller), ("Content-Type", media_type), prefer)
        return Ask("POST", target, head, drawn.body()).bytes()

    def _key(self, caller: str) -> tuple[str, str]:
        return "Authorization", f"Bearer {self._ground.keys[caller]}"

    def _ask(self, raw: bytes) -> Reply:
        try:
            reply = self._line.ask(raw)
        except IllFormed as ill:
            raise self._wrong(f"ill-formed: {ill}", raw, None) from None
        self._report.count(KIND, route_in(raw), "none" if reply is None else str(reply.status))
        if reply is None:
            raise self._wrong("no answer", raw, None)
        if complaint := self._judge.verdict(reply, is_bodiless=is_head(raw)).complaint:
            raise self._wrong(complaint, raw, reply)
        return reply

    def _wrong(self, complaint: str, raw: bytes, reply: Reply | None) -> Exception:
        status = "none" if reply is None else str(reply.status)
        answer = "none" if reply is None else f"{reply.status} {reply.headers} {reply.body[:800]!r}"
        return self._drawing.wrong(complaint, route_in(raw), raw, answer, status)


def run_structured(ground: Ground, report: Report, judge: Judge, requests: int) -> None:
    """About so many requests have been asked; an event is asked two to three times."""
    drawing = Drawing(KIND, ground, report)
    it = Structured(drawing, ground, report, judge)
    kinds: dict[str, tuple[Callable[[Any], None], st.SearchStrategy[Any], float]] = {
        "events": (it.event, events(), 2.3),
        "queries": (it.query, queries(), 1),
        "headers": (it.header, headers(), 1),
        "batches": (it.batch, batches(), 1),
    }
    for number, (name, (check, strategy, each)) in enumerate(kinds.items()):
        examples = round(requests * _ON[name] / each)
        drawing.run(check, strategy, examples, report.seed * 1_000_000 + number * 100_000)
    it.close()
