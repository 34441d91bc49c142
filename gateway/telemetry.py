"""A fact becomes one log line and one number.

Lines are JSON on standard error, from an allow-list of fields: what is not named here is never logged, so a secret
or a phone number cannot slip in with a new argument. Label values come from closed lists.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .core.delivery import Accepted, Deferred, Outcome, Refused, State, Uncertain
from .core.grant import Grant
from .core.message import Message
from .ports import Depth, Verdict

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 300, 3600, 86400)
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_FIELDS: Final = (
    "account",
    "reason",
    "cause",
    "cure",
    "doing",
    "template",
    "count",
    "url",
    "version",
    "signal",
    "outcome",
)
_SERIOUS: Final = frozenset({"held", "store-unavailable", "template-blocked", "letter-sealed", "grant-sealed"})


class Telemetry:
    """The Observer: logs and counts."""

    def __init__(self, *, level: str = "info", stream: Any = None) -> None:
        self._log = structlog.wrap_logger(
            structlog.BytesLogger(stream or sys.stderr.buffer),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", key="at"),
                _render,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
            cache_logger_on_first_use=True,
        )
        self.registry = CollectorRegistry()
        self._known_types: Callable[[], Iterable[str]] = tuple
        self._numbers = _Numbers(self.registry)
        self._facts: dict[str, Callable[[dict[str, Any]], None]] = {
            "event": self._event,
            "accepted": self._accepted,
            "attempted": self._attempted,
            "expired": self._changed,
            "receipt": self._receipt,
            "refreshed": self._refreshed,
            "lease-awaited": self._lease_awaited,
            "webhook": self._webhook,
            "mappings-loaded": self._mappings_loaded,
            "mapping-reload-failed": self._mapping_reload_failed,
            "turn-failed": self._turn_failed,
        }

    def fact(self, name: str, **about: Any) -> None:
        """The fact is logged and counted."""
        known = self._facts.get(name)
        if known is not None:
            known(about)
            return
        fields = {field: str(about[field]) for field in _FIELDS if about.get(field) is not None}
        (self._log.warning if name in _SERIOUS else self._log.info)(name, **fields)

    def exposition(self) -> bytes:
        """Every number, as Prometheus text."""
        return generate_latest(self.registry)

    def label_types_from(self, known_types: Callable[[], Iterable[str]]) -> None:
        """Event types become labels only if they are among these; any other is `unmapped`."""
        self._known_types = known_types

    def note_state(self, depths: Sequence[Depth], grants: Sequence[Grant], now: datetime) -> None:
        """The gauges say how it is now."""
        self._numbers.queue_depth.clear()
        self._numbers.queue_age.clear()
        for depth in depths:
            self._numbers.queue_depth.labels(depth.account, depth.priority).set(depth.count)
            self._numbers.queue_age.labels(depth.account, depth.priority).set((now - depth.oldest).total_seconds())
        for grant in grants:
            left = (grant.expires_at - now).total_seconds()
            self._numbers.token_seconds.labels(grant.account, "access").set(left)
            self._numbers.grant_age.labels(grant.account).set((now - grant.obtained_at).total_seconds())
            refresh_left = (grant.obtained_at - now).total_seconds() + 90 * 86400
            self._numbers.token_seconds.labels(grant.account, "refresh").set(refresh_left)

    def _event(self, about: dict[str, Any]) -> None:
        event_type = about["type"] if about["type"] in self._known_types() else "unmapped"
        self._numbers.events(event_type, about["outcome"]).inc()

    def _accepted(self, about: dict[str, Any]) -> None:
        message: Message = about["message"]
        self._numbers.messages(message.state.status).inc()
        self._log.debug("accepted", **_of(message))

    def _attempted(self, about: dict[str, Any]) -> None:
        message: Message = about["message"]
        outcome: Outcome = about["outcome"]
        name, error = _said(outcome)
        numbers = self._numbers
        numbers.attempts(message.account, name, error).inc()
        numbers.messages(message.state.status).inc()
        begun = next((line.at for line in reversed(message.timeline) if line.fact == "claim"), message.accepted_at)
        numbers.send_seconds(message.account).observe((message.updated_at - begun).total_seconds())
        if isinstance(outcome, Accepted):
            waited = (message.updated_at - message.accepted_at).total_seconds()
            numbers.accept_to_sent(message.account, message.priority).observe(waited)
            if outcome.quota is not None and outcome.quota.remaining is not None:
                numbers.quota.labels(message.account).set(outcome.quota.remaining)
        log = self._log.info if isinstance(outcome, Accepted) else self._log.warning
        log("attempted", outcome=name, error=error, attempt=message.attempts, **_of(message))

    def _changed(self, about: dict[str, Any]) -> None:
        message: Message = about["message"]
        self._numbers.messages(message.state.status).inc()
        self._log.warning("expired", **_of(message))

    def _receipt(self, about: dict[str, Any]) -> None:
        message: Message = about["message"]
        if message.state is State.DELIVERED and message.timeline[-1].cause is None:
            self._numbers.messages("delivered").inc()
            waited = (message.delivered_at or message.updated_at) - message.accepted_at
            self._numbers.accept_to_delivered(message.account).observe(max(0.0, waited.total_seconds()))
        self._log.info("receipt", **_of(message))

    def _refreshed(self, about: dict[str, Any]) -> None:
        self._numbers.refreshes(about["account"], about["outcome"]).inc()
        log = self._log.info if about["outcome"] == "rotated" else self._log.error
        log("refreshed", account=about["account"], outcome=about["outcome"], cause=about.get("cause"))

    def _lease_awaited(self, about: dict[str, Any]) -> None:
        self._numbers.lease_waits(about["account"]).inc()

    def _webhook(self, about: dict[str, Any]) -> None:
        verdict: Verdict = about["verdict"]
        name = type(verdict).__name__.lower()
        self._numbers.webhooks(about["account"], name).inc()
        (self._log.warning if name == "forged" else self._log.debug)(
            "webhook", account=about["account"], verdict=name
        )

    def _mappings_loaded(self, about: dict[str, Any]) -> None:
        self._numbers.mapping_reloads("loaded").inc()
        self._numbers.mappings_broken.set(0)
        self._numbers.mappings_loaded_at = time.monotonic()
        self._log.info("mappings-loaded", count=about["count"], version=about["version"])

    def _mapping_reload_failed(self, about: dict[str, Any]) -> None:
        self._numbers.mapping_reloads("failed").inc()
        self._numbers.mappings_broken.set(1)
        self._log.error("mapping-reload-failed", count=about["count"], cause=about["cause"])

    def _turn_failed(self, about: dict[str, Any]) -> None:
        # The type and where it happened, never the text: that could quote a value.
        error: BaseException = about["error"]
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        where = "" if traceback is None else f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"
        self._log.error("turn-failed", error=type(error).__name__, where=where)


class _Numbers:
    """Every metric, with the prefix and base units of the contract."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Looking a number up by its labels costs more than counting, so those on the way of a message are kept by
        # them; there are few, since labels come from closed lists.
        def counter(name: str, text: str, *labels: str) -> Callable[..., Counter]:
            return cache(Counter(f"zns_gateway_{name}", text, labels, registry=registry).labels)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"zns_gateway_{name}", text, labels, registry=registry)

        def seconds(name: str, text: str, *labels: str) -> Callable[..., Histogram]:
            whole = f"zns_gateway_{name}_seconds"
            return cache(Histogram(whole, text, labels, registry=registry, buckets=_SECONDS).labels)

        self.events = counter("events", "Events posted, by type and what was answered", "type", "outcome")
        self.messages = counter("messages", "Messages that came to a status", "status")
        self.attempts = counter(
            "attempts", "Requests to Zalo, by outcome and error code", "account", "outcome", "error"
        )
        self.send_seconds = seconds("send", "From an attempt's begin to its recorded outcome", "account")
        self.accept_to_sent = seconds(
            "accept_to_sent", "From acceptance until Zalo took it", "account", "priority"
        )
        self.accept_to_delivered = seconds(
            "accept_to_delivered", "From acceptance until the phone had it", "account"
        )
        self.queue_depth = gauge("queue_depth", "Queued messages", "account", "priority")
        self.queue_age = gauge("queue_oldest_seconds", "Age of the oldest queued message", "account", "priority")
        self.token_seconds = gauge("token_expires_seconds", "Seconds until a token expires", "account", "token")
        self.grant_age = gauge("grant_age_seconds", "How long ago Zalo gave the grant in use", "account")
        self.lease_waits = counter(
            "lease_waits", "Looks at a lease to refresh that another process has", "account"
        )
        self.refreshes = counter("refreshes", "Refreshes of a grant, by outcome", "account", "outcome")
        self.quota = gauge("quota_remaining", "What Zalo said is left of the daily quota", "account")
        self.webhooks = counter("webhooks", "Webhook calls, by verdict", "account", "verdict")
        self.mapping_reloads = counter("mapping_reloads", "Loads of the mapping files, by outcome", "outcome")
        self.mappings_broken = gauge(
            "mappings_broken", "1 while the files have a fault and an older set is in force"
        )
        self.callbacks = counter("callbacks", "Calls to callers, by outcome", "caller", "outcome")
        self.mappings_loaded_at = time.monotonic()
        age = gauge("mappings_age_seconds", "How long the mappings in force have been in force")
        age.set_function(lambda: time.monotonic() - self.mappings_loaded_at)


def _of(message: Message) -> dict[str, Any]:
    """What a log line says of a message."""
    return {
        "tracking_id": message.tracking_id,
        "status": message.state.status,
        "caller": message.caller,
        "type": message.event_type,
        "account": message.account,
        "template": message.template_id,
        "phone": message.phone,
        "reason": message.reason,
    }


def _said(outcome: Outcome) -> tuple[str, str]:
    match outcome:
        case Accepted():
            return "accepted", "none"
        case Refused(error):
            return "refused", error.code
        case Deferred(error):
            return "deferred", error.code
        case Uncertain(error):
            return "uncertain", error.code


def _render(_: Any, __: str, fields: Any) -> bytes:
    """One line of JSON; control characters are escaped by JSON itself, so a value cannot start a line."""
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})


class _Foreign(logging.Handler):
    """What libraries log, as one of our lines: who, how serious, and the kind of error, never its text."""

    def __init__(self, stream: Any) -> None:
        super().__init__(logging.WARNING)
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        fields = {"event": "library", "logger": record.name, "level": record.levelname.lower(), "error": error}
        fields["at"] = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        with suppress(OSError, ValueError):
            self._stream.write(_render(None, "", fields) + b"\n")
            self._stream.flush()


def quiet_libraries(stream: Any) -> None:
    """What libraries log through `logging` comes out as JSON lines, from warnings up."""
    logging.root.handlers[:] = [_Foreign(stream)]
    logging.root.setLevel(logging.WARNING)
