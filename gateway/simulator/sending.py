"""`POST /message/template`: Zalo's checks one after the other, then the acceptance.

The order of the checks is not documented; here it goes from the outside in: token, body, phone, template,
modes, data, then what only Zalo knows of the recipient, the hour and the quotas.
"""

import random
from collections import OrderedDict
from typing import Any, Final

import msgspec

from gateway.simulator.clock import Clock, is_night, vietnam_day
from gateway.simulator.codes import Refusal
from gateway.simulator.ledger import Ledger, Message
from gateway.simulator.phones import (
    VALID_HASH,
    VALID_PHONE,
    Fate,
    Plan,
    is_admin,
    plan_of,
)
from gateway.simulator.quota import Quotas
from gateway.simulator.rules import Rules
from gateway.simulator.templates import Template, refusal_of_data, refusal_of_status

MOST_BODY_BYTES: Final = 100_000
REMEMBERED_ONCE: Final = 10_000


class Body(msgspec.Struct, gc=False):
    """A send's body; each member is judged on its own, so that each has its own error."""

    phone: Any = None
    hash_phone: Any = None
    template_id: Any = None
    template_data: Any = None
    tracking_id: Any = None
    sending_mode: Any = None
    mode: Any = None


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """Zalo takes the message; `quota` is what is left of the day, None in development mode."""

    message: Message
    plan: Plan
    sending_mode: str
    daily_quota: int
    remaining_quota: int

    def body(self) -> bytes:
        """The answer, with a text for every number, as Zalo has it."""
        message = self.message
        head = b'{"error":0,"message":"Success","data":{"msg_id":"%b","sent_time":"%d"' % (
            message.msg_id.encode(),
            int(message.accepted_at * 1000),
        )
        if message.is_development:
            return head + b"}}"
        return head + b',"sending_mode":"%b","quota":{"dailyQuota":"%d","remainingQuota":"%d"}}}' % (
            self.sending_mode.encode(),
            self.daily_quota,
            self.remaining_quota,
        )


class Unanswered(msgspec.Struct, frozen=True):
    """The send never gets as far as Zalo: a proxy in front of it answers with a page."""


_decode = msgspec.json.Decoder(Body).decode


def parse(raw: bytes) -> Body | Refusal:
    """The body, or why it is none."""
    if not raw.strip():
        return Refusal(-121)
    if len(raw) > MOST_BODY_BYTES:
        return Refusal(-130)
    try:
        return _decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Refusal(-122)


class Sending:
    """Decides on each send, and remembers the accepted ones."""

    def __init__(
        self, clock: Clock, ledger: Ledger, quotas: Quotas, rng: random.Random, templates: dict[str, Template]
    ) -> None:
        """The templates may change while this runs."""
        self._clock = clock
        self._ledger = ledger
        self._quotas = quotas
        self._rng = rng
        self._templates = templates
        self._refused_once: OrderedDict[tuple[str, str | None], None] = OrderedDict()

    def send(self, body: Body, *, is_hashed: bool, rules: Rules) -> Accepted | Refusal | Unanswered:
        """The message is accepted and in the ledger, or it is not and nothing has changed."""
        recipient = _recipient(body, is_hashed=is_hashed)
        if isinstance(recipient, Refusal):
            return recipient
        template = self._templates.get(_id_text(body.template_id))
        if template is None:
            return Refusal(-109)
        is_development = body.mode == "development"
        refusal = (
            refusal_of_status(template, is_development=is_development)
            or _refusal_of_modes(body, template, rules)
            or _refusal_of_template_data(body, template)
        )
        if refusal:
            return refusal
        plan = plan_of(recipient)
        if plan.fate is Fate.HTML:
            return Unanswered()
        message = Message(
            f"{self._rng.getrandbits(80):020x}",
            body.tracking_id,
            recipient,
            template.template_id,
            self._clock.wall(),
            plan.name,
            is_development,
        )
        if refusal := self._refusal_of_moment(message, template, plan, rules, is_over_quota=_is_over_quota(body)):
            return refusal
        self._ledger.accept(message)
        left = self._quotas.remaining(message.accepted_at, rules)
        return Accepted(message, plan, "3" if _is_over_quota(body) else "1", rules.daily_quota, left)

    def _refusal_of_moment(
        self, message: Message, template: Template, plan: Plan, rules: Rules, *, is_over_quota: bool
    ) -> Refusal | None:
        """What only Zalo knows: the recipient, the hour, and what is left; one message is taken off that."""
        wall = message.accepted_at
        return (
            self._refusal_of_recipient(message, plan)
            or (Refusal(-133) if template.is_night_limited and _is_night(rules, wall) else None)
            or self._refusal_of_promotion(message.phone, template, wall)
            or self._quotas.take(
                template, wall, rules, is_development=message.is_development, is_over_quota=is_over_quota
            )
        )

    def _refusal_of_recipient(self, message: Message, plan: Plan) -> Refusal | None:
        if message.is_development and not is_admin(message.phone):
            return Refusal(-127)
        if plan.fate is Fate.ERROR:
            return Refusal(plan.error)
        if plan.fate is Fate.ONCE:
            asked = (message.phone, message.tracking_id)
            if asked not in self._refused_once:
                self._refused_once[asked] = None
                if len(self._refused_once) > REMEMBERED_ONCE:
                    self._refused_once.popitem(last=False)
                return Refusal(plan.error)
        return None

    def _refusal_of_promotion(self, recipient: str, template: Template, wall: float) -> Refusal | None:
        if template.tag != "PROMOTION":
            return None

        today = vietnam_day(wall)

        def is_promotion(message: Message) -> bool:
            return self._templates[message.template_id].tag == "PROMOTION"

        if not self._ledger.has_reached(recipient, lambda message: not is_promotion(message)):
            return Refusal(-140)
        if self._ledger.has_reached(
            recipient, lambda message: is_promotion(message) and vietnam_day(message.accepted_at) == today
        ):
            return Refusal(-1472)
        return None


def _recipient(body: Body, *, is_hashed: bool) -> str | Refusal:
    """The `84…` digits, or the hash of them."""
    given = body.hash_phone if is_hashed else body.phone
    if not isinstance(given, str):
        return Refusal(-108)
    match = (VALID_HASH if is_hashed else VALID_PHONE).fullmatch(given)
    if match is None:
        return Refusal(-108)
    return match[0] if is_hashed else match[1]


def _id_text(given: Any) -> str:
    """A template id as text; ids that came as a number fit too."""
    if isinstance(given, str):
        return given
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else ""


def _refusal_of_modes(body: Body, template: Template, rules: Rules) -> Refusal | None:
    if body.mode not in (None, "development", "production"):
        return Refusal(-132)
    if body.tracking_id is not None and not isinstance(body.tracking_id, str):
        return Refusal(-132)
    if body.sending_mode in (None, "1") or body.sending_mode == 1:
        return None
    if not _is_over_quota(body):
        return Refusal(-161)
    if template.tag != "PROMOTION":
        return Refusal(-162)
    return None if rules.over_quota else Refusal(-161)


def _is_over_quota(body: Body) -> bool:
    return body.sending_mode in ("3", 3)


def _refusal_of_template_data(body: Body, template: Template) -> Refusal | None:
    data = body.template_data
    if data is None or data == {}:
        return Refusal(-111)
    if not isinstance(data, dict):
        return Refusal(-112)
    return refusal_of_data(template, data)


def _is_night(rules: Rules, wall: float) -> bool:
    return is_night(wall) if rules.night == "clock" else rules.night == "always"
