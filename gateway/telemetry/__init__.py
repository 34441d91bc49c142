"""A fact becomes one log line and one number.

Lines are JSON on standard error, from an allow-list of fields: what is not named here is never logged, so a secret
or a phone number cannot slip in with a new argument. Label values come from closed lists.
"""

import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, generate_latest

from gateway.core.delivery import Accepted, Deferred, Outcome, Refused, State, Uncertain
from gateway.core.grant import TROUBLES, Grant, Trouble
from gateway.core.grant_health import REFRESH_LIFE
from gateway.core.hold import Hold
from gateway.core.message import Message
from gateway.core.news import Kind, News
from gateway.ports import Depth, Untold, Verdict

from .lines import quiet_libraries, render
from .numbers import Numbers

__all__ = ["Telemetry", "quiet_libraries"]

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
    "caller",
    "tries",
)
_SERIOUS: Final = frozenset(
    {
        "account-paused",
        "endpoint-disabled",
        "endpoint-failing",
        "grant-sealed",
        "grant-troubled",
        "held",
        "letter-sealed",
        "store-unavailable",
    }
)


_REFRESHES: Final = ("rotated", "refused", "dead", "lost", "notpresented", "superseded", "store-unavailable")


class Telemetry:
    """The Observer: logs and counts."""

    def __init__(self, *, level: str = "info", stream: Any = None) -> None:
        self._log = structlog.wrap_logger(
            structlog.BytesLogger(stream or sys.stderr.buffer),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", key="at"),
                render,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
            cache_logger_on_first_use=True,
        )
        self.registry = CollectorRegistry()
        self._known_types: Callable[[], Iterable[str]] = tuple
        self._numbers = Numbers(self.registry)
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
            "news": self._news,
            "called": self._called,
            "ordered": self._ordered,
            "silent": self._silent,
            "asked": self._routine("asked"),
            "quota": self._routine("quota"),
            "template-blocked": self._template_blocked,
            "silence-unexplained": self._reported("silence-unexplained"),
            "unsettled": self._reported("unsettled"),
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

    def note_queues(self, depths: Sequence[Depth], untold: Sequence[Untold], now: datetime) -> None:
        """The gauges say what waits to be sent, and what callers have not been told yet."""
        numbers = self._numbers
        for gauge in (numbers.queue_depth, numbers.queue_age, numbers.callback_backlog, numbers.callback_age):
            gauge.clear()
        for depth in depths:
            numbers.queue_depth.labels(depth.account, depth.priority).set(depth.count)
            numbers.queue_age.labels(depth.account, depth.priority).set((now - depth.oldest).total_seconds())
        for waiting in untold:
            numbers.callback_backlog.labels(waiting.caller).set(waiting.count)
            numbers.callback_age.labels(waiting.caller).set((now - waiting.oldest).total_seconds())

    def note_grants(self, grants: Sequence[Grant], troubles: Mapping[str, Trouble | None], now: datetime) -> None:
        """The gauges say how every account's grant is, and what is wrong with it although it may still send."""
        for account, trouble in troubles.items():
            # There from the start, so that the first one is an increase.
            for outcome in _REFRESHES:
                self._numbers.refreshes(account, outcome)
            for kind in TROUBLES:
                is_so = trouble is not None and trouble.kind == kind
                self._numbers.grant_trouble.labels(account, kind).set(is_so)
        for grant in grants:
            left = (grant.expires_at - now).total_seconds()
            self._numbers.token_seconds.labels(grant.account, "access").set(left)
            self._numbers.grant_age.labels(grant.account).set((now - grant.obtained_at).total_seconds())
            self._numbers.consent_age.labels(grant.account).set((now - grant.consented_at).total_seconds())
            refresh_left = (grant.obtained_at - now).total_seconds() + REFRESH_LIFE.total_seconds()
            self._numbers.token_seconds.labels(grant.account, "refresh").set(refresh_left)

    def note_quotas(self, remaining: Mapping[str, int | None]) -> None:
        """The gauges say what is left of each account's quota today, where that is known."""
        self._numbers.quota.clear()
        for account, left in remaining.items():
            if left is not None:
                self._numbers.quota.labels(account).set(left)

    def note_stops(self, paused: Iterable[Hold], narrow: Iterable[Hold], disabled: Collection[str]) -> None:
        """The gauges say which accounts are paused, what waits besides, and whose endpoints are not called any more."""
        self._numbers.paused.clear()
        for hold in paused:
            self._numbers.paused.labels(hold.account, hold.reason).set(1)
        self._numbers.held.clear()
        for hold in narrow:
            scope = "type" if hold.template_id is None else "template"
            self._numbers.held.labels(hold.account, scope, hold.reason).inc()
        self._numbers.endpoints_disabled.clear()
        for caller in disabled:
            self._numbers.endpoints_disabled.labels(caller).set(1)

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
        if _has_moved(message):
            numbers.messages(message.state.status).inc()
        begun = next((line.at for line in reversed(message.timeline) if line.fact == "claim"), message.accepted_at)
        numbers.send_seconds(message.account).observe((message.updated_at - begun).total_seconds())
        if isinstance(outcome, Accepted):
            waited = (message.updated_at - message.accepted_at).total_seconds()
            numbers.accept_to_sent(message.account, message.priority).observe(waited)
        log = self._log.info if isinstance(outcome, Accepted) else self._log.warning
        log("attempted", outcome=name, error=error, attempt=message.attempts, **_of(message))

    def _template_blocked(self, about: dict[str, Any]) -> None:
        self._numbers.blocked(about["account"], about["template"]).inc()
        self._log.warning("template-blocked", account=about["account"], template=about["template"])

    def _changed(self, about: dict[str, Any]) -> None:
        message: Message = about["message"]
        self._numbers.messages(message.state.status).inc()
        self._log.warning("expired", **_of(message))

    def _receipt(self, about: dict[str, Any]) -> None:
        message: Message = about["message"]
        if message.state is State.DELIVERED and _has_moved(message):
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

    def _news(self, about: dict[str, Any]) -> None:
        news: News = about["news"]
        self._numbers.news(about["account"], news.kind).inc()
        is_routine = news.kind in (Kind.FEEDBACK, Kind.OTHER)
        said = {} if is_routine else {"subject": news.subject, "before": news.before, "after": news.after}
        log = self._log.debug if is_routine else self._log.warning
        log("news", account=about["account"], kind=news.kind, **said)

    def _ordered(self, about: dict[str, Any]) -> None:
        message: Message = about["message"]
        self._numbers.messages(message.state.status).inc()
        self._log.debug("ordered", doing=about["doing"], cause=about["cause"], **_of(message))

    def _silent(self, about: dict[str, Any]) -> None:
        message: Message = about["message"]
        if message.state is State.UNDELIVERED:
            self._numbers.messages("undelivered").inc()
        self._log.info("silent", **_of(message))

    def _routine(self, fact: str) -> Callable[[dict[str, Any]], None]:
        return lambda about: self._log.debug(fact, account=about["account"], outcome=about["outcome"])

    def _reported(self, fact: str) -> Callable[[dict[str, Any]], None]:
        def report(about: dict[str, Any]) -> None:
            message: Message = about["message"]
            self._numbers.reported(message.account, fact).inc()
            self._log.warning(fact, **_of(message))

        return report

    def _called(self, about: dict[str, Any]) -> None:
        outcome = about["outcome"]
        self._numbers.callbacks(about["caller"], outcome).inc()
        log = self._log.debug if outcome == "delivered" else self._log.warning
        log(
            "called", **{name: about[name] for name in ("caller", "outcome", "callback", "type", "tries", "cause")}
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


def _has_moved(message: Message) -> bool:
    """True if the last thing that is known of it gave it another status."""
    statuses = [entry.status for entry in message.timeline[-2:]]
    return len(statuses) < 2 or statuses[0] != statuses[1]


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
