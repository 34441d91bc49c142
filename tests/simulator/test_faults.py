from typing import Any

import msgspec
import pytest

from gateway.simulator import business
from gateway.simulator.exchange import Ending
from gateway.simulator.faults import NOTHING, Asked, Faults, Unfit

from .stage import Scene


def fault(**members: Any) -> Asked:
    return msgspec.convert(members, Asked)


def drawn(faults: Faults, times: int) -> list[str | None]:
    return [faults.draw("send").name for _ in range(times)]


def test_a_fault_with_a_count_strikes_so_often() -> None:
    faults = Faults()
    faults.add(fault(at="send", do="cut", count=2))
    assert drawn(faults, 3) == ["cut", "cut", None]
    assert faults.draw("status") is NOTHING
    assert faults.told() == {
        "faults": [{"at": "send", "do": "cut", "count": 2, "fired": 2, "left": 0}],
    }


def test_without_count_and_p_a_fault_strikes_until_it_is_cleared() -> None:
    faults = Faults()
    faults.add(fault(at="send", do="silence"))
    assert drawn(faults, 50) == ["silence"] * 50
    faults.clear()
    assert drawn(faults, 1) == [None]


def test_a_fault_with_a_chance_is_the_same_for_the_same_seed() -> None:
    def run(seed: int) -> list[str | None]:
        faults = Faults()
        faults.add(fault(at="send", do="html", p=0.3, seed=seed))
        return drawn(faults, 1000)

    assert run(1) == run(1) != run(2)
    assert 200 < run(1).count("html") < 400


def test_delays_add_up_and_the_first_other_fault_wins() -> None:
    faults = Faults()
    for each in (
        {"do": "delay", "value": 0.25},
        {"do": "error", "value": -100, "count": 1},
        {"do": "cut"},
        {"do": "delay"},
    ):
        faults.add(fault(at="send", **each))
    first, second = faults.draw("send"), faults.draw("send")
    assert (first.delay_s, first.do, first.value) == (1.25, "error", -100)
    assert (second.delay_s, second.do) == (1.25, "cut")


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"at": "send", "do": "drop"}, "do"),
        ({"at": "webhook", "do": "cut"}, "do"),
        ({"at": "send", "do": "error"}, "value"),
        ({"at": "send", "do": "error", "value": 0}, "value"),
        ({"at": "send", "do": "error", "value": -1.5}, "value"),
        ({"at": "send", "do": "delay", "value": -1}, "value"),
        ({"at": "send", "do": "html", "value": 99}, "value"),
        ({"at": "webhook", "do": "drop", "done": True}, "done"),
    ],
)
def test_members_that_contradict_each_other_are_named(members: dict[str, Any], field: str) -> None:
    with pytest.raises(Unfit) as caught:
        Faults().add(fault(**members))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("members", "is_accepted", "status"),
    [
        ({"do": "cut"}, True, 200),
        ({"do": "silence"}, True, 200),
        ({"do": "garbage"}, True, 200),
        ({"do": "html"}, False, 502),
        ({"do": "html", "value": 429, "done": True}, True, 429),
        ({"do": "cut", "done": False}, False, 200),
        ({"do": "error", "value": -129}, False, 200),
        ({"do": "delay", "value": 3}, True, 200),
    ],
)
def test_a_fault_at_a_send_does_the_work_or_does_not(
    scene: Scene, members: dict[str, Any], is_accepted: bool, status: int
) -> None:
    scene.zalo.faults.add(fault(at="send", count=1, **members))
    body = msgspec.json.encode(
        {"phone": "84912345678", "template_id": "310001", "template_data": {"otp": "1"}, "tracking_id": "t"}
    )
    told = business.send(scene.zalo, scene.asked(body), is_hashed=False)
    assert bool(scene.zalo.ledger.messages) == is_accepted
    endings = {"cut": Ending.CUT, "silence": Ending.SILENCE}
    assert told.ending == endings.get(members["do"], Ending.ANSWER)
    if told.ending is Ending.ANSWER:
        assert told.status == status
    [request] = scene.zalo.ledger.requests
    assert request.fault == members["do"]
    assert bool(request.msg_id) == is_accepted
