"""The whole of the simulated Zalo without a socket: one app, one Official Account, and all their state."""

import random
import string
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from gateway.simulator.catalogue import ORDINARY, SPECIAL, SPECIAL_NOTES, catalogue
from gateway.simulator.clock import Clock
from gateway.simulator.faults import Faults
from gateway.simulator.issuer import Issuer
from gateway.simulator.ledger import Ledger
from gateway.simulator.phones import ADMINS, PHONES
from gateway.simulator.quota import Quotas
from gateway.simulator.rules import Rules
from gateway.simulator.sending import Sending
from gateway.simulator.webhooks import Deliveries, Event, Signer

APP_ID: Final = "2074138120372622546"
APP_SECRET: Final = "simulator-app-secret"
OA_ID: Final = "2893352839501541173"
OA_SECRET: Final = "simulator-oa-secret"

RECEIPT_S: Final = 0.5
REALISTIC_RECEIPT_S: Final = (3.0, 10.0)
Poster = Callable[[Event], Awaitable[None]]
_TOKEN_CHARACTERS: Final = string.ascii_letters + string.digits + "_-"


class Rating(msgspec.Struct, frozen=True):
    """What a customer thought of a message."""

    template_id: str
    msg_id: str
    tracking_id: str
    rate: int
    note: str
    feedbacks: list[str]
    submit_ms: int


class Zalo:
    """Every part of the simulated Zalo, and what they share."""

    def __init__(self, *, realistic: bool = False, seed: int | None = None, clock: Clock | None = None) -> None:
        """Start authorised by nobody, with the catalogue's templates and no faults."""
        self.rng = random.Random(seed)
        self.clock = clock or Clock()
        self.rules = Rules()
        self.faults = Faults()
        self.ledger = Ledger()
        self.quotas = Quotas()
        self.templates = catalogue()
        self.ratings: list[Rating] = []
        self.issuer = Issuer(self.random_text, self.ledger.exchanges.add)
        self.sending = Sending(self.clock, self.ledger, self.quotas, self.rng, self.templates)
        delay = (lambda: self.rng.uniform(*REALISTIC_RECEIPT_S)) if realistic else lambda: RECEIPT_S
        self.deliveries = Deliveries(Signer(APP_ID, OA_ID, OA_SECRET), self.clock, delay)
        self.post_now: Poster = _nowhere

    def random_text(self, length: int) -> str:
        """Fresh characters of a token."""
        return "".join(self.rng.choices(_TOKEN_CHARACTERS, k=length))

    def change_rules(self, rules: Rules) -> None:
        """These rules are in force; a balance that has changed is the money there is now."""
        if rules.balance != self.rules.balance:
            self.quotas.spent_vnd = 0
        self.rules = rules

    def credentials(self) -> dict[str, Any]:
        """All that a client needs, with a grant that is a chain of its own."""
        grant = self.issuer.mint(self.clock.wall(), self.rules.expires_in)
        return {
            "app_id": APP_ID,
            "app_secret": APP_SECRET,
            "oa_id": OA_ID,
            "oa_secret": OA_SECRET,
            "grant": msgspec.to_builtins(grant),
            "templates": [
                {"template_id": each.template_id, "sample_data": each.sample_data()} for each in ORDINARY
            ],
            "special_templates": [
                {
                    "template_id": each.template_id,
                    "sample_data": each.sample_data(),
                    "note": SPECIAL_NOTES[each.template_id],
                }
                for each in SPECIAL
            ],
            "phones": {phone: plan.name for phone, plan in PHONES.items()},
            "admins": sorted(ADMINS),
        }


async def _nowhere(_event: Event) -> None:
    """Nothing is posted where nobody has said how."""
