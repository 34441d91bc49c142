"""What every answer must be, whatever was asked."""

import json
import re
from typing import Any

import msgspec

from .wire import Reply

PROBLEM = b"application/problem+json"
PAGE = b"text/html"
_PAGE_STATUSES = (400, 410)  # nobody here knows the state of a login
_MEMBERS = {"type": str, "title": str, "status": int, "detail": str, "code": str, "retryable": bool}
_MAY_BE_503 = {"not-accepted", "unavailable"}
_MASKED = re.compile(r"84\*{5}[0-9]{4}")
_TRACKING_ID = re.compile(r"[0-9a-z]{26}")


class Verdict(msgspec.Struct, frozen=True):
    """What is wrong with an answer, and the code by which it calls itself."""

    complaint: str | None
    code: str = ""


class Judge:
    """Knows what must not come out."""

    def __init__(self, canaries: re.Pattern[bytes]) -> None:
        self._canaries = canaries

    def verdict(self, reply: Reply, *, is_bodiless: bool = False) -> Verdict:
        """Whether the answer may be given to anybody for anything."""
        if found := self._canaries.search(b"\n".join(name + b": " + value for name, value in reply.headers)):
            return Verdict(f"a canary in a header: {found[0]!r}")
        media_type = (reply.header(b"content-type") or b"").partition(b";")[0].strip().lower()
        if is_bodiless:
            return Verdict(f"{reply.status} to HEAD" if reply.status >= 500 else None)
        body: Any = None
        if media_type.endswith(b"json"):
            try:
                body = json.loads(reply.body.decode("utf-8"))
            except ValueError as error:
                return Verdict(f"says JSON and is not: {error}")
        code = str(body.get("code", "")) if isinstance(body, dict) else ""
        complaint = (
            (self._wrong_page(reply) if media_type == PAGE else self._wrong_problem(reply, media_type, body))
            or self._wrong_body(reply, body)
            or _server_error(reply, code)
        )
        return Verdict(complaint, code)

    @staticmethod
    def _wrong_page(reply: Reply) -> str | None:
        """The end of a consent is told to a person: on a page that loads and runs nothing."""
        if reply.status not in _PAGE_STATUSES:
            return f"{reply.status} is a page"
        is_strict = (reply.header(b"content-security-policy") or b"").startswith(b"default-src 'none'")
        return (
            None if is_strict and b"<script" not in reply.body.lower() else "a page that may load or run something"
        )

    @staticmethod
    def _wrong_problem(reply: Reply, media_type: bytes, body: Any) -> str | None:
        if reply.status < 400:
            return "a problem with a good status" if media_type == PROBLEM else None
        if media_type != PROBLEM or not isinstance(body, dict):
            return f"{reply.status} is no problem+json but {media_type!r}"
        for name, kind in _MEMBERS.items():
            if type(body.get(name)) is not kind or body[name] == "":
                return f"a problem whose {name} is {body.get(name)!r}"
        if body["status"] != reply.status:
            return f"a problem that says {body['status']} on {reply.status}"
        if body["retryable"] is not (reply.status in (429, 503)):
            return f"retryable is {body['retryable']} on {reply.status}"
        if body["retryable"] and not (reply.header(b"retry-after") or b"").isdigit():
            return "no Retry-After"
        return None

    def _wrong_body(self, reply: Reply, body: Any) -> str | None:
        for message in _messages(body):
            if not _TRACKING_ID.fullmatch(str(message["tracking_id"])):
                return "a tracking_id that is none"
            if message.get("phone") is not None and not _MASKED.fullmatch(message["phone"]):
                return "a phone that is not masked"
        if not self._canaries.search(reply.body):
            return None
        # What a caller writes into the attributes of its own event is its own, and is told back.
        text = json.dumps(_without_own_words(body), ensure_ascii=False).encode("utf-8", "replace")
        found = self._canaries.search(text if body is not None else reply.body)
        return f"a canary in the body: {found[0]!r}" if found else None


def _server_error(reply: Reply, code: str) -> str | None:
    """A healthy run has no 503 either, but that one is told apart."""
    if reply.status < 500:
        return None
    return "a 503 of a healthy gateway" if reply.status == 503 and code in _MAY_BE_503 else f"{reply.status}"


def _messages(body: Any) -> list[Any]:
    """Every Message in the answer."""
    if not isinstance(body, dict):
        return []
    inner = [it.get("message") for it in body.get("results", []) if isinstance(it, dict)]
    found = [body, body.get("message"), *body.get("items", []), *inner]
    return [it for it in found if isinstance(it, dict) and "tracking_id" in it and "event" in it]


def _without_own_words(body: Any) -> Any:
    if isinstance(body, list):
        return [_without_own_words(it) for it in body]
    if not isinstance(body, dict):
        return body
    return {name: None if name in ("event", "mapping") else _without_own_words(it) for name, it in body.items()}
