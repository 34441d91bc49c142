"""What is asked many times a second costs the same however much the store holds."""

import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.core.receipt import Receipt
from gateway.storage import SqliteStore
from gateway.storage.commits import connect
from tests.contract.stage import NOW, after, begin, finish, make_hold, make_message, put, tracking_id_of


async def ask_everything(store: SqliteStore) -> None:
    queued = await put(store, make_message("evt-1", key="k1"), key="k1")
    await store.due("main", after(1), held=[make_hold(template_id="tpl-9")], limit=10)
    await store.overdue(after(1), 10)
    await store.letter(queued.tracking_id)
    await store.load(queued.tracking_id)
    begun = begin(queued, store.owner)
    assert await store.save(begun, expected=queued.version)
    receipt = Receipt("z1", tracking_id_of("evt-1"), None)
    number = await store.keep_receipt("main", NOW, "any", receipt, b"{}")
    await store.receipts(10)
    await store.match("main", receipt)
    await store.settle_receipt(number, is_matched=False)
    assert await store.save(finish(begun, "z1"), expected=begun.version)
    await store.sweep(NOW, final_before=NOW, receipts_before=NOW)


def plan(connection: sqlite3.Connection, statement: str) -> str:
    return "; ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"))


async def test_nothing_walks_through_a_table_or_sorts_it(store: SqliteStore, tmp_path: Path) -> None:
    said: list[str] = []
    for connection in (store._commits._connection, store._lookups._connection):
        connection.set_trace_callback(said.append)
    await ask_everything(store)
    asked = [it for it in said if it.startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))]
    assert len(asked) > 20
    with closing(connect(tmp_path / "store.db", is_writer=False)) as connection:
        plans = {statement: plan(connection, statement) for statement in asked}
    # Once a sweep, and over no more than the orphans: which accounts there are.
    plans = {statement: it for statement, it in plans.items() if "DISTINCT account" not in statement}
    # Of what is new there is never much.
    plans = {statement: it.replace("SCAN receipt USING INDEX receipt_new", "") for statement, it in plans.items()}
    slow = {statement: it for statement, it in plans.items() if "SCAN message" in it or "SCAN receipt" in it}
    assert slow == {}
    assert {statement: it for statement, it in plans.items() if "TEMP B-TREE" in it} == {}
    renewals = [it for statement, it in plans.items() if statement.startswith("UPDATE receipt SET is_new = 1")]
    assert renewals
    assert not any("receipt_orphan" in it for it in renewals), "that would be all orphans of the account"
