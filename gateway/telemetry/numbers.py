"""Every metric, with the prefix and base units of the contract (section 7)."""

import time
from collections.abc import Callable
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 300, 3600, 86400)


class Numbers:
    """The numbers themselves: label values come from the config or from closed lists."""

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
        self.consent_age = gauge("consent_age_seconds", "How long ago a person gave consent", "account")
        self.grant_trouble = gauge(
            "grant_trouble", "1 while this is wrong with the grant, also while it sends", "account", "kind"
        )
        self.lease_waits = counter(
            "lease_waits", "Looks at a lease to refresh that another process has", "account"
        )
        self.refreshes = counter("refreshes", "Refreshes of a grant, by outcome", "account", "outcome")
        self.quota = gauge(
            "quota_remaining", "What is left of the daily quota, as Zalo last said today", "account"
        )
        self.webhooks = counter("webhooks", "Webhook calls, by verdict", "account", "verdict")
        self.mapping_reloads = counter("mapping_reloads", "Loads of the mapping files, by outcome", "outcome")
        self.mappings_broken = gauge(
            "mappings_broken", "1 while the files have a fault and an older set is in force"
        )
        self.callbacks = counter("callbacks", "Calls to callers, by outcome", "caller", "outcome")
        self.callback_backlog = gauge("callback_backlog", "Callbacks that a caller has not taken yet", "caller")
        self.callback_age = gauge("callback_oldest_seconds", "Age of the oldest of them", "caller")
        self.endpoints_disabled = gauge(
            "callback_endpoint_disabled", "1 while it is not called until a reload", "caller"
        )
        self.paused = gauge("account_paused", "1 while nothing is sent, by reason", "account", "reason")
        self.held = gauge(
            "holds", "Templates and types that wait although their account sends", "account", "scope", "reason"
        )
        self.blocked = counter(
            "template_blocked", "Messages that Zalo refused because of their template", "account", "template"
        )
        self.news = counter("news", "What Zalo told beside receipts, by kind", "account", "kind")
        self.reported = counter(
            "reported_messages", "Messages of which it will not be known what became of them", "account", "fact"
        )
        self.mappings_loaded_at = time.monotonic()
        age = gauge("mappings_age_seconds", "How long the mappings in force have been in force")
        age.set_function(lambda: time.monotonic() - self.mappings_loaded_at)
