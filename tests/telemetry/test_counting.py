"""A message is counted once for each status that it comes to, whatever else is said of it."""

from gateway.core.conclusion import concluded
from gateway.core.message import Message, received
from gateway.telemetry import Telemetry
from tests.core.test_message import NOON, RECEIPT, accepted, begun, born


def counted(telemetry: Telemetry, status: str) -> float:
    return telemetry.registry.get_sample_value("zns_gateway_messages_total", {"status": status}) or 0.0


def test_an_early_receipt_and_the_answer_after_it_are_one_delivery() -> None:
    telemetry = Telemetry(level="error")
    early: Message = received(begun(born()), RECEIPT, NOON)
    telemetry.fact("receipt", message=early)
    answered = concluded(early, 1, accepted(), NOON)
    telemetry.fact("attempted", message=answered, outcome=accepted())
    telemetry.fact("receipt", message=received(answered, RECEIPT, NOON))
    assert counted(telemetry, "delivered") == 1
    assert telemetry.registry.get_sample_value(
        "zns_gateway_attempts_total", {"account": "main", "outcome": "accepted", "error": "none"}
    )


def test_a_send_and_its_receipt_are_one_of_each() -> None:
    telemetry = Telemetry(level="error")
    sent = concluded(begun(born()), 1, accepted(), NOON)
    telemetry.fact("attempted", message=sent, outcome=accepted())
    telemetry.fact("receipt", message=received(sent, RECEIPT, NOON))
    assert (counted(telemetry, "sent"), counted(telemetry, "delivered")) == (1, 1)
