"""What Zalo says of its own accord: signed events, the receipts among them, and the ladder of retries.

Pure: `Deliveries` says which posts are due, `postman.py` posts them.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.simulator.clock import Agenda, Clock
from gateway.simulator.faults import Strike
from gateway.simulator.ledger import Message
from gateway.simulator.phones import LATE_S, Fate, Plan

LADDER_S: Final = (30.0, 300.0, 900.0, 1800.0, 3600.0)
"""Waits before the retries of a webhook that was not answered with 200, in simulated seconds."""
MOST_UNDER_WAY: Final = 200_000
"""Posts that wait for their turn, and again for their retry; beyond that they are lost, as Zalo may lose them."""
HELD_S: Final = 5.0
"""How long a receipt to be reordered waits for another one to overtake it, in simulated seconds."""
OVERTAKEN_S: Final = 0.5


class Event(msgspec.Struct, frozen=True, gc=False):
    """One signed event, and which time it is posted (0 is the first)."""

    body: bytes
    signature: str | None
    event_name: str
    server: str = "ZNS"
    msg_id: str | None = None
    tracking_id: str | None = None
    num_retry: int = 0

    def headers(self) -> dict[str, str]:
        """What goes with the body."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "ZaloWebhook",
            "X-ZEvent-Server": self.server,
        }
        if self.signature is not None:
            headers["X-ZEvent-Signature"] = self.signature
        if self.num_retry:
            headers["num_retry"] = str(self.num_retry)
        return headers


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A message is to arrive on its phone."""

    message: Message
    plan: Plan
    strike: Strike


class Held(msgspec.Struct):
    """A receipt that waits for another one to overtake it."""

    event: Event
    is_released: bool = False


def mac_of(app_id: str, body: bytes, timestamp: str, secret: str) -> str:
    """The value of `X-ZEvent-Signature`: a plain SHA-256, not an HMAC."""
    hashed = hashlib.sha256(app_id.encode() + body + timestamp.encode() + secret.encode())
    return "mac=" + hashed.hexdigest()


class Signer(msgspec.Struct, frozen=True):
    """Who the app and the OA are, and the OA's secret."""

    app_id: str
    oa_id: str
    oa_secret: str

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Signer(app_id={self.app_id!r}, oa_id={self.oa_id!r})"

    def event(self, members: dict[str, Any], wall: float, **more: Any) -> Event:
        """The signed event of these members; `timestamp` is added, as Zalo's milliseconds in text."""
        timestamp = str(int(wall * 1000))
        body = msgspec.json.encode({**members, "timestamp": timestamp})
        signature = mac_of(self.app_id, body, timestamp, self.oa_secret)
        return Event(body, signature, str(members.get("event_name", "")), **more)

    def receipt(self, message: Message, wall: float) -> Event:
        """`user_received_message`: the phone has the message."""
        members = {
            "sender": {"id": self.oa_id},
            "recipient": {"id": message.phone},
            "event_name": "user_received_message",
            "message": {
                "delivery_time": str(int((message.delivered_at or wall) * 1000)),
                "msg_id": message.msg_id,
                "tracking_id": message.tracking_id or "",
            },
            "app_id": self.app_id,
        }
        return self.event(members, wall, msg_id=message.msg_id, tracking_id=message.tracking_id)


class Deliveries:
    """What is to arrive and to be posted, and when."""

    def __init__(self, signer: Signer, clock: Clock, receipt_delay_s: Callable[[], float]) -> None:
        """Start with nothing under way; `receipt_delay_s` draws the ordinary delay of a delivery."""
        self.signer = signer
        self.agenda: Agenda[Arrival | Held | Event] = Agenda()
        self.url: str | None = None
        self._clock = clock
        self.receipt_delay_s = receipt_delay_s
        self._held: list[Held] = []

    def accepted(self, message: Message, plan: Plan, strike: Strike) -> Event | None:
        """The message will arrive as its plan says; an event is to be posted before the send is answered."""
        if plan.fate is Fate.NEVER:
            return None
        if plan.fate is Fate.EARLY or strike.do == "early":
            message.delivered_at = self._clock.wall()
            return self.signer.receipt(message, message.delivered_at)
        delay_s = self.receipt_delay_s() + (LATE_S if plan.fate is Fate.LATE else 0.0)
        self.agenda.put(self._clock.elapsed() + delay_s, Arrival(message, plan, strike))
        return None

    def due(self) -> list[Event]:
        """What is to be posted now; messages whose time has come are delivered.

        Where there is no address, a receipt is not kept for one that comes later.
        """
        posts: list[Event] = []
        for thing in self.agenda.take(self._clock.elapsed()):
            match thing:
                case Arrival():
                    posts += self._arrive(thing)
                case Held():
                    posts += [] if thing.is_released else [thing.event]
                    self._held = [held for held in self._held if held is not thing]
                case Event():
                    posts.append(thing)
        return posts

    def answered(self, event: Event, status: int | None) -> None:
        """A post was answered so, or not in time (None); unless with 200 it is posted again, five times."""
        is_over = event.num_retry >= len(LADDER_S) or len(self.agenda) >= MOST_UNDER_WAY
        if status == 200 or is_over:
            return
        again = msgspec.structs.replace(event, num_retry=event.num_retry + 1)
        self.agenda.put(self._clock.elapsed() + LADDER_S[event.num_retry], again)

    def soon(self, event: Event) -> None:
        """The event is due at once."""
        self.agenda.put(self._clock.elapsed(), event)

    def _arrive(self, arrival: Arrival) -> list[Event]:
        message, do = arrival.message, arrival.strike.do
        message.delivered_at = self._clock.wall()
        if do == "drop" or self.url is None:
            return []
        receipt = self.signer.receipt(message, message.delivered_at)
        now = self._clock.elapsed()
        if do == "late":
            self.agenda.put(now + arrival.strike.value, receipt)
            return []
        if do == "reorder":
            self._held.append(Held(receipt))
            self.agenda.put(now + HELD_S, self._held[-1])
            return []
        for held in self._held:
            held.is_released = True
            self.agenda.put(now + OVERTAKEN_S, held.event)
        self._held.clear()
        twice = do == "duplicate" or arrival.plan.fate is Fate.DUPLICATE
        return [receipt, receipt] if twice else [receipt]
