"""Zalo's word that the phone has a message: stored first, then matched, in whatever order things come."""

import asyncio
import json
from datetime import datetime

import msgspec
import pytest

from gateway.core.callback import Callback
from gateway.core.delivery import State
from gateway.core.errors import Unavailable
from gateway.core.message import MOST_SAID_AGAIN, SAID_AGAIN, Message
from gateway.core.news import Kind, News
from gateway.core.receipt import Receipt
from gateway.ports import Forged, Probe, Signed, Verdict
from gateway.receipts import Receipts

from .stage import HOUR, SECOND, UNCERTAIN, House, mapping_set, settled

NEWS = News(kind=Kind.TEMPLATE_STATUS, key="k1", subject="310001", before="ENABLE", after="DISABLE", note="why")
THEN = datetime.fromisoformat("2026-11-23T05:00:07Z")


class Post:
    """The webhook's side of a house: what a call with this body would be judged to be."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.verdicts: dict[bytes, Verdict] = {}
        self.told: list[Message] = []
        self.heard: list[tuple[str, News]] = []
        self.receipts = Receipts(
            house.store,
            self._judge,
            self.told.append,
            house.clock,
            house.notes,
            operators=["ops", "night-shift"],
            hear=lambda account, news: self.heard.append((account, news)),
        )

    def _judge(self, account: str, signature: bytes | None, server: bytes | None, body: bytes) -> Verdict:
        return self.verdicts.get(body, Forged())

    async def bring(self, said: Receipt | News, account: str = "main", body: bytes = b"signed") -> None:
        """Zalo has called, and what was stored has been worked on."""
        self.verdicts[body] = Signed(said, account)
        assert await self.receipts.take(account, b"mac", None, body)
        while await self.receipts._turn():
            pass


async def post() -> Post:
    return Post(await House().open())


async def test_a_receipt_delivers_the_message_that_it_names() -> None:
    it = await post()
    message = await it.house.send()
    await it.bring(Receipt(None, message.tracking_id, THEN))
    message = await it.house.now(message)
    assert (message.state, message.delivered_at) == (State.DELIVERED, THEN)
    assert it.told == [message]
    assert await it.house.store.receipts(10) == []


async def test_one_that_is_replayed_for_ever_fills_no_timeline() -> None:
    it = await post()
    message = await it.house.send()
    receipt = Receipt(None, message.tracking_id, THEN)
    for _ in range(100):
        await it.bring(receipt)
    message = await it.house.now(message)
    repeats = [entry for entry in message.timeline if entry.cause == SAID_AGAIN]
    assert len(repeats) == MOST_SAID_AGAIN
    assert len(it.house.notes.named("receipt")) == len(it.told) == 1 + MOST_SAID_AGAIN
    assert await it.house.store.receipts(10) == []


async def test_a_receipt_may_name_only_zalo_s_own_id() -> None:
    it = await post()
    message = await it.house.send()
    await it.bring(Receipt(message.msg_id, None, THEN))
    assert await it.house.state(message) is State.DELIVERED


async def test_it_is_stored_before_it_is_answered_and_worked_on_afterwards() -> None:
    it = await post()
    message = await it.house.send()
    it.verdicts[b"x"] = Signed(Receipt(None, message.tracking_id, THEN), "main")
    assert await it.receipts.take("main", b"mac", None, b"x")
    (kept,) = await it.house.store.receipts(10)
    assert (kept.account, kept.body, kept.received_at) == ("main", b"x", it.house.clock())
    assert await it.house.state(message) is State.SENT


async def test_what_cannot_be_stored_is_not_taken() -> None:
    it = await post()
    it.verdicts[b"x"] = Signed(NEWS, "main")
    it.house.store.is_down = True
    with pytest.raises(Unavailable):
        await it.receipts.take("main", b"mac", None, b"x")


@pytest.mark.parametrize(("verdict", "is_taken"), [(Forged(), False), (Probe(), True)])
async def test_a_forged_call_is_refused_and_a_probe_ignored_and_neither_is_kept(
    verdict: Verdict, is_taken: bool
) -> None:
    it = await post()
    it.verdicts[b"x"] = verdict
    assert await it.receipts.take("main", None, None, b"x") is is_taken
    assert await it.house.store.receipts(10) == []
    assert it.house.notes.named("webhook") == [{"account": "main", "verdict": verdict}]


async def test_a_receipt_that_overtakes_the_answer_wins_and_the_answer_is_filled_in() -> None:
    it = await post()
    opening = it.house.zalo.hold_back()
    taken = await it.house.post()
    await settled()
    await it.bring(Receipt("m-1", taken.message.tracking_id, THEN))
    assert await it.house.state(taken.message) is State.DELIVERED
    opening.set()
    await it.house.quiet()
    message = await it.house.now(taken.message)
    assert (message.state, message.msg_id, message.delivered_at) == (State.DELIVERED, "m-1", THEN)
    assert message.sent_at is not None
    assert message.quota is not None


async def test_a_receipt_resolves_what_was_unknown_and_no_second_try_follows() -> None:
    it = Post(await House(mappings=mapping_set('on_unknown = "resend"')).open())
    it.house.zalo.script = [UNCERTAIN]
    message = await it.house.send()
    assert message.state is State.QUEUED_AGAIN
    await it.bring(Receipt("m-1", message.tracking_id, THEN))
    await it.house.turn(HOUR)
    assert await it.house.state(message) is State.DELIVERED
    assert len(it.house.zalo.requests) == 1


async def test_the_same_receipt_a_hundred_times_changes_nothing_after_the_first() -> None:
    it = await post()
    message = await it.house.send()
    for number in range(100):
        await it.bring(Receipt(None, message.tracking_id, THEN + number * SECOND), body=b"%d" % number)
    assert (await it.house.now(message)).delivered_at == THEN


async def test_receipts_taken_at_once_are_all_worked_on() -> None:
    it = await post()
    messages = [await it.house.send(f"evt-{number}") for number in range(250)]
    for number, message in enumerate(messages):
        it.verdicts[b"%d" % number] = Signed(Receipt(None, message.tracking_id, THEN), "main")
    await asyncio.gather(*(it.receipts.take("main", b"m", None, b"%d" % number) for number in range(250)))
    assert await it.receipts._turn()
    assert not await it.receipts._turn()
    assert {await it.house.state(message) for message in messages} == {State.DELIVERED}


async def test_a_receipt_matches_only_messages_of_its_own_account() -> None:
    it = await post()
    message = await it.house.send()
    await it.bring(Receipt(message.msg_id, message.tracking_id, THEN), account="other")
    assert await it.house.state(message) is State.SENT


async def test_an_orphan_is_kept_for_its_message_which_is_then_delivered_and_not_sent() -> None:
    it = await post()
    tracking_id = (await House(clock=it.house.clock).send()).tracking_id
    await it.bring(Receipt("m-old", tracking_id, THEN))
    assert await it.house.store.receipts(10) == []
    message = await it.house.send()
    assert (message.tracking_id, message.state, message.delivered_at) == (tracking_id, State.DELIVERED, THEN)
    assert it.house.zalo.requests == []


async def test_an_orphan_that_names_only_zalo_s_id_finds_its_message_once_the_id_is_known() -> None:
    it = await post()
    await it.bring(Receipt("m-1", None, THEN))
    message = await it.house.send()
    await it.receipts._turn()
    assert await it.house.state(message) is State.DELIVERED


async def test_news_are_kept_heard_and_told_to_operators_once_however_often_zalo_repeats_them() -> None:
    it = await post()
    for _ in range(3):
        await it.bring(NEWS)
    (kept,) = await it.house.store.news(10)
    assert (kept.account, kept.news) == ("main", NEWS)
    assert it.heard == [("main", NEWS)]
    assert it.house.notes.named("news") == [{"account": "main", "news": NEWS}]
    for operator in ("ops", "night-shift"):
        (callback,) = await callbacks(it, operator)
        assert callback.type == "template.changed"
        told = json.loads(callback.body)
        assert told["data"] == {
            "account": "main",
            "template_id": "310001",
            "what": "status",
            "before": "ENABLE",
            "after": "DISABLE",
            "reason": "why",
        }
    assert it.told == []


async def test_an_event_that_changes_nothing_is_kept_and_nobody_is_told() -> None:
    it = await post()
    await it.bring(News(kind=Kind.OTHER, key="k", subject="user_send_text"))
    assert await it.house.store.receipts(10) == []
    assert await callbacks(it, "ops") == []


async def callbacks(it: Post, caller: str) -> list[Callback]:
    now = it.house.clock()
    return list(await it.house.store.take_callbacks(caller, now, until=now + HOUR, limit=10))


async def test_a_receipt_that_meets_another_writer_is_worked_on_again_at_once() -> None:
    it = await post()
    message = await it.house.send()
    writes = 0
    match = it.house.store.match

    async def match_and_be_overtaken(account: str, receipt: Receipt) -> Message | None:
        nonlocal writes
        found = await match(account, receipt)
        if found is not None and writes < 2:
            writes += 1
            await it.house.store.save(
                msgspec.structs.replace(found, version=found.version + 1), expected=found.version
            )
        return found

    it.house.store.match = match_and_be_overtaken  # type: ignore[method-assign]
    await it.bring(Receipt(None, message.tracking_id, THEN))
    assert writes == 2
    assert await it.house.state(message) is State.DELIVERED


async def test_one_that_goes_wrong_takes_no_other_with_it() -> None:
    it = await post()
    bad, good = await it.house.send("evt-1"), await it.house.send("evt-2")
    match = it.house.store.match

    async def stumble(account: str, receipt: Receipt) -> Message | None:
        if receipt.tracking_id == bad.tracking_id:
            raise RuntimeError("a bug")
        return await match(account, receipt)

    it.house.store.match = stumble  # type: ignore[method-assign]
    running = asyncio.create_task(it.receipts.run())
    for number, message in enumerate((bad, good)):
        it.verdicts[b"%d" % number] = Signed(Receipt(None, message.tracking_id, THEN), "main")
        await it.receipts.take("main", b"m", None, b"%d" % number)
    await asyncio.sleep(3)
    assert await it.house.state(good) is State.DELIVERED
    assert it.house.notes.named("turn-failed")
    it.receipts.stop()
    await running


async def test_what_was_stored_is_worked_on_when_the_store_comes_back_and_after_a_restart() -> None:
    it = await post()
    message = await it.house.send()
    it.verdicts[b"x"] = Signed(Receipt(None, message.tracking_id, THEN), "main")
    await it.receipts.take("main", b"m", None, b"x")
    restarted = Post(it.house)
    it.house.store.is_down = True
    running = asyncio.create_task(restarted.receipts.run())
    await asyncio.sleep(5)
    assert it.house.notes.named("store-unavailable")
    it.house.store.is_down = False
    await asyncio.sleep(1.5)
    assert await it.house.state(message) is State.DELIVERED
    restarted.receipts.stop()
    await asyncio.wait_for(running, 1)
