"""Valid requests: every route, every mode of events, every parameter."""

import hashlib
import json
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from tests.system.stage import order

from .ground import CANARY_PHONES, CODES, Ground
from .wire import Ask

PLAIN, STRUCTURED = "application/json", "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
REMEMBERED = 500
_STATUSES = [
    "queued",
    "sending",
    "sent",
    "delivered",
    "undelivered",
    "unknown",
    "skipped",
    "failed",
    "expired",
    "cancelled",
]
_ACCOUNT_CALLS = ("pause", "resume")  # as far as they exist they only stop the sending
_SPARE = "second"  # an account that is not there, so that nobody stops the one that is


class Corpus:
    """Makes valid requests, and remembers what exists."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._number = 0
        self.tracking_ids: list[str] = ["0" * 26]
        self.cursors: list[str] = ["MTIz"]
        self._kinds: list[Callable[[Random], Ask]] = [
            *[self.plain] * 12,
            *[self.structured] * 6,
            *[self.binary] * 8,
            *[self.batch] * 3,
            *[self.preview] * 6,
            *[self.listed] * 4,
            *[self.shown] * 4,
            *[self.webhook] * 8,
            *[self.acted] * 3,
            *[self.other] * 4,
        ]

    def ask(self, random: Random) -> Ask:
        """One valid request."""
        return random.choice(self._kinds)(random)

    def remember(self, body: Any) -> None:
        """What the answer tells of can be asked for later."""
        if not isinstance(body, dict):
            return
        if isinstance(found := body.get("tracking_id"), str):
            self.tracking_ids = [*self.tracking_ids[-REMEMBERED:], found]
        if isinstance(found := body.get("next_cursor"), str):
            self.cursors = [*self.cursors[-REMEMBERED:], found]

    def event(self, random: Random) -> dict[str, Any]:
        """An event of one of the mapped types."""
        self._number += 1
        name = f"f-{self._number if random.random() < 0.8 else random.randrange(1, self._number + 1)}"
        phone = random.choice(CANARY_PHONES)
        if random.random() < 0.1:
            phone = random.choice(
                [self._ground.phones[it] for it in ("error:-118", "never", "duplicate", "early")]
            )
        kind = random.choice(["order", "otp", "shipping", "wide", "bill", "unmapped"])
        if kind == "order":
            return order(name, phone)
        data: dict[str, Any] = {"phone": phone}
        match kind:
            case "otp":
                return {"id": name, "type": "auth.otp", "data": data | {"otp": random.choice(CODES)}}
            case "shipping":
                data = {
                    "recipient": {"name": "Lê  Thị Bình", "phone": phone},
                    "order_id": "A-1",
                    "status": "delivered",
                }
                return {"id": name, "source": "/carrier", "type": "shipping.status", "data": data}
            case "bill":
                data = {
                    "period": 1,
                    "from": "2020-04-01",
                    "to": "2020-04-30",
                    "volume_m3": 1250,
                    "total": "14500000",
                }
                data["customer"] = {"id": "KH-1", "name": "An", "phone": phone, "address": "1 Lê Lợi"}
                return {"id": name, "type": "bill.issued", "data": data}
            case "wide":
                items = [{"name": "x", "code": "C"}, {"name": "Điện thoại", "code": "D"}]
                data |= {"items": items, "code": CODES[0], "total": 1250000, "at": "2026-11-20T08:00:00Z"}
                data |= {"phones": [phone, phone], "kind": "a"}
                return {"id": name, "type": "fuzz.wide", "subject": "s", "traceparent": "00-1-1-00", "data": data}
            case _:
                return {"id": name, "type": "unmapped.type", "data": data}

    def headers(self, random: Random, media_type: str, caller: str | None = None) -> list[tuple[str, str]]:
        """The headers of a call with a body."""
        name = caller or random.choice([*["all"] * 8, "checkout", "other", "platform", "limited", "tester"])
        headers = [("Authorization", f"Bearer {self._ground.keys[name]}"), ("Content-Type", media_type)]
        if random.random() < 0.3:
            wish = random.choice(["wait=0", "respond-async", "wait=1", "wait=1, respond-async"])
            headers.append(("Prefer", wish))
        if random.random() < 0.1:
            headers.append(("Idempotency-Key", f'"k-{random.randrange(2000)}"'))
        if random.random() < 0.05:
            headers.append(("Expect", "100-continue"))
        return headers

    def plain(self, random: Random) -> Ask:
        body = json.dumps(self.event(random), ensure_ascii=random.random() < 0.5).encode()
        headers = self.headers(random, PLAIN)
        return Ask("POST", "/v1/events", tuple(headers), body, is_chunked=random.random() < 0.1)

    def structured(self, random: Random) -> Ask:
        event = {"specversion": "1.0", "source": "/fuzz", "datacontenttype": "application/json"} | self.event(
            random
        )
        headers = self.headers(random, f"{STRUCTURED}; charset=utf-8")
        return Ask("POST", "/v1/events", tuple(headers), json.dumps(event).encode())

    def binary(self, random: Random) -> Ask:
        event = {"specversion": "1.0", "source": "/fuzz"} | self.event(random)
        body = json.dumps(event.pop("data"), ensure_ascii=False).encode()
        attributes = [(f"ce-{name}", quote(str(value), safe="/ :,")) for name, value in event.items()]
        return Ask("POST", "/v1/events", (*self.headers(random, PLAIN), *attributes), body)

    def batch(self, random: Random) -> Ask:
        events = [
            {"specversion": "1.0", "source": "/fuzz"} | self.event(random) for _ in range(random.randrange(1, 5))
        ]
        if random.random() < 0.02:
            events *= random.choice([30, 300, 1001])  # the same again, and more than one batch may hold
        return Ask("POST", "/v1/events", tuple(self.headers(random, BATCH)), json.dumps(events).encode())

    def preview(self, random: Random) -> Ask:
        body = json.dumps(self.event(random)).encode()
        return Ask("POST", "/v1/events/preview", tuple(self.headers(random, PLAIN)), body)

    def listed(self, random: Random) -> Ask:
        offered = {
            "status": random.choice(_STATUSES),
            "type": "order.paid",
            "phone": random.choice(CANARY_PHONES),
            "event_id": f"f-{random.randrange(1, self._number + 2)}",
            "caller": "all",
            "since": "2026-11-23T08:00:00+07:00",
            "until": "2036-11-23T08:00:00Z",
            "updated_after": "2020-01-01T00:00:00Z",
            "cursor": random.choice(self.cursors),
        }
        chosen = dict(random.sample(sorted(offered.items()), random.randrange(4)))
        chosen["limit"] = random.choice(["1", "5", "20"])
        return self._get(random, f"/v1/messages?{urlencode(chosen)}")

    def shown(self, random: Random) -> Ask:
        return self._get(random, f"/v1/messages/{random.choice(self.tracking_ids)}")

    def webhook(self, random: Random) -> Ask:
        name = random.choice(["user_received_message", "change_oa_daily_quota", "change_template_status", "other"])
        message = {"msg_id": "a4d0243feee163bd3af2", "delivery_time": "1795422305000"}
        message["tracking_id"] = random.choice(self.tracking_ids)
        body: dict[str, Any] = {"event_name": name, "timestamp": "1795422305077", "message": message}
        body |= {"quota": {"prev_value": 500, "new_value": 1000}, "template_id": 310001, "reason": "r"}
        body["status"] = {"prev_status": "ENABLE", "new_status": "REJECT"}
        if random.random() < 0.05:
            return Ask("POST", "/webhooks/zalo/main", body=random.choice([b"", b"{}"]))
        return self.signed(
            Ask("POST", "/webhooks/zalo/main", (("X-ZEvent-Server", "ZNS"),), json.dumps(body).encode())
        )

    def signed(self, ask: Ask) -> Ask:
        """The same with Zalo's signature of whatever the body is now."""
        it = self._ground.credentials
        parts = it["app_id"].encode(), ask.body, b"1795422305077", it["oa_secret"].encode()
        mac = hashlib.sha256(b"".join(parts)).hexdigest()
        kept = tuple(each for each in ask.headers if each[0] != "X-ZEvent-Signature")
        return Ask(ask.method, ask.target, (*kept, ("X-ZEvent-Signature", f"mac={mac}")), ask.body, ask.is_chunked)

    def acted(self, random: Random) -> Ask:
        """What operators do; some of it may not be built yet, and is then a path like any other."""
        tracking_id = random.choice(self.tracking_ids)
        target, body = random.choice(
            [
                (f"/v1/messages/{tracking_id}/{random.choice(['cancel', 'resend'])}", {}),
                (f"/v1/messages/{tracking_id}/settle", {"status": "delivered", "note": "seen"}),
                ("/v1/messages/cancel", {"dry_run": True, "type": "order.paid"}),
                ("/v1/messages/resend", {"dry_run": True, "status": "failed"}),
                (f"/v1/accounts/{_SPARE}/{random.choice(_ACCOUNT_CALLS)}", {"type": "order.paid"}),
                ("/v1/callbacks/replay", {"ids": ["1"]}),
            ]
        )
        return Ask("POST", target, tuple(self.headers(random, PLAIN, "platform")), json.dumps(body).encode())

    def other(self, random: Random) -> Ask:
        paths = [
            "/livez",
            "/readyz",
            "/readyz?verbose",
            "/metrics",
            "/schema/openapi.json",
            "/v1/mappings",
            "/",
            "//",
        ]
        paths += [
            "/v1/accounts",
            "/oauth/zalo/callback?code=c&state=s",
            "/v1/events/",
            "/v1/../livez",
            "/none",
            "*",
        ]
        paths += ["/v1", "/webhooks/zalo/other", "/v1/messages/", "http://gateway/livez", "/%2e%2e/etc/passwd"]
        ask = self._get(random, random.choice(paths))
        method = random.choice(["GET"] * 8 + ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT"])
        return Ask(method, ask.target, ask.headers)

    def _get(self, random: Random, target: str) -> Ask:
        key = self._ground.keys[random.choice(["all", "platform", "checkout"])]
        return Ask("GET", target, (("Authorization", f"Bearer {key}"),))
