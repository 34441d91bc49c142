"""What is asked many times a second costs the same however much the store holds."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.core.receipt import Receipt
from gateway.ports import Query, Replay
from gateway.storage import SqliteStore, open_store
from gateway.storage.commits import connect
from tests.contract.stage import (
    KEY,
    NOW,
    PHONE,
    after,
    begin,
    finish,
    make_callback,
    make_event,
    make_hold,
    make_letter,
    make_message,
    make_news,
    put,
    tracking_id_of,
)


async def ask_everything(store: SqliteStore) -> None:
    queued = await put(store, make_message("evt-1", key="k1"), key="k1")
    await store.due("main", after(1), held=[make_hold(template_id="tpl-9")], limit=10)
    await store.overdue(after(1), 10)
    await store.silent("main", after(1), 10)
    await store.letter(queued.tracking_id)
    await store.load(queued.tracking_id)
    begun = begin(queued, store.owner)
    assert await store.save(begun, expected=queued.version)
    receipt = Receipt("z1", tracking_id_of("evt-1"), None)
    number = await store.keep_receipt("main", NOW, receipt, b"{}")
    await store.receipts(10)
    await store.match("main", receipt)
    await store.settle_receipt(number, is_matched=False)
    letter = make_letter(make_event("evt-1"))
    assert await store.save(finish(begun, "z1"), expected=begun.version, letter=letter)
    await store.note_pause("main", make_hold(), before=None, callbacks=[make_callback("c-1")])
    await store.keep_news("main", NOW, make_news(), b"{}", [make_callback("c-2")])
    for caller in await store.due_callers(after(9)):
        for callback in await store.take_callbacks(caller, after(9), until=after(10), limit=10):
            await store.settle_callback(callback.id, taken_until=after(10), next_at=None)
    await store.replay_callbacks(Replay(caller="crm", ids=("c-1",)), NOW)
    await store.replay_callbacks(Replay(caller="crm", since=NOW, until=after(1)), NOW)
    await store.news(10)
    await store.matching(Query(phone=PHONE), ["sent", "failed"])
    await store.matching(Query(event_id="evt-1"), ["sent", "failed"])
    await store.sweep(NOW, final_before=NOW, receipts_before=NOW)


def plan(connection: sqlite3.Connection, statement: str) -> str:
    return "; ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"))


async def test_nothing_walks_through_a_table_or_sorts_it(url: str, tmp_path: Path) -> None:
    store = await open_store(url, [KEY], is_simulated=False, told={"checkout"})
    said: list[str] = []
    for it in (store._commits, store._lookups, store._lists):
        it._connection.set_trace_callback(said.append)
    await ask_everything(store)
    await store.aclose()
    asked = [it for it in said if it.startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))]
    assert len(asked) > 45
    with closing(connect(tmp_path / "store.db", is_writer=False)) as connection:
        plans = {statement: plan(connection, statement) for statement in asked}
    # Once a sweep, and over no more than the orphans: which accounts there are.
    plans = {statement: it for statement, it in plans.items() if "DISTINCT account" not in statement}
    # Of what is new there is never much, and of the news the newest are the first.
    harmless = re.compile("SCAN receipt USING INDEX receipt_new|SCAN news USING INDEX news_heard")
    plans = {statement: harmless.sub("", it) for statement, it in plans.items()}
    tables = ("message", "receipt", "callback", "news")
    slow = {statement: it for statement, it in plans.items() if any(f"SCAN {table}" in it for table in tables)}
    assert slow == {}
    assert {statement: it for statement, it in plans.items() if "TEMP B-TREE" in it} == {}
    renewals = [it for statement, it in plans.items() if statement.startswith("UPDATE receipt SET is_new = 1")]
    assert renewals
    assert not any("receipt_orphan" in it for it in renewals), "that would be all orphans of the account"
    stretches = [it for statement, it in plans.items() if "BETWEEN" in statement]
    assert len(stretches) == 2
    assert all("INDEX message_phone" in it or "INDEX message_event" in it for it in stretches)


async def test_a_hundred_thousand_that_wait_for_one_caller_cost_another_nothing(
    store: SqliteStore, tmp_path: Path
) -> None:
    def pile_up(connection: sqlite3.Connection) -> None:
        connection.execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100000)"
            " INSERT INTO callback (id, caller, type, made_at, since, due_at, body)"
            " SELECT 'dead-' || n, 'dead', 'message.sent', n, n, n, x'00' FROM n"
        )

    await store._commits.submit(pile_up)
    assert await store.note_pause("main", make_hold(), before=None, callbacks=[make_callback()])
    steps: list[int] = []

    def step() -> None:
        steps.append(100)

    for it in (store._commits, store._lookups):
        it._connection.set_progress_handler(step, 100)
    assert set(await store.due_callers(after(1))) == {"crm", "dead"}
    (callback,) = await store.take_callbacks("crm", after(1), until=after(2), limit=10)
    await store.settle_callback(callback.id, taken_until=after(2), next_at=None)
    assert sum(steps) < 1000, "a walk through all takes hundreds of thousands"
