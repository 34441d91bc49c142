from gateway.simulator.ledger import Ledger, Message, Post, Request

from .stage import Scene


def message(n: int) -> Message:
    return Message(f"m{n}", f"t{n}", "84912345678", "310001", float(n), "delivered")


def test_each_list_keeps_the_last_and_counts_what_it_dropped() -> None:
    ledger = Ledger(kept=3)
    for n in range(5):
        ledger.accept(message(n))
        ledger.requests.add(Request(float(n), "/message/template"))
    told = ledger.told()
    assert [each["msg_id"] for each in told["messages"]] == ["m2", "m3", "m4"]
    assert len(told["requests"]) == 3
    assert told["dropped"] == {"requests": 2, "messages": 2, "receipts": 0, "refreshes": 0}


def test_a_message_tells_its_receipts_and_can_be_asked_for_alone() -> None:
    ledger = Ledger()
    for n in range(2):
        ledger.accept(message(n))
    for num_retry, status in enumerate((None, 200)):
        ledger.posts.add(Post(10.0, "user_received_message", "m1", "t1", status, num_retry))
    told = ledger.told("t1")
    assert told["messages"] == [
        {
            "msg_id": "m1",
            "tracking_id": "t1",
            "phone": "84912345678",
            "template_id": "310001",
            "accepted_at": "1970-01-01T00:00:01.000Z",
            "outcome": "delivered",
            "is_development": False,
            "delivered_at": None,
            "receipts": [
                {"at": "1970-01-01T00:00:10.000Z", "status": None, "num_retry": 0},
                {"at": "1970-01-01T00:00:10.000Z", "status": 200, "num_retry": 1},
            ],
        }
    ]
    assert len(told["receipts"]) == 2
    assert len(ledger.told()["messages"]) == 2


def test_every_request_is_there_with_what_it_was_about(scene: Scene) -> None:
    msg_id = scene.send(tracking_id="a")["data"]["msg_id"]
    scene.send("84900000118", tracking_id="b")
    scene.send(raw=b"{")
    told = scene.zalo.ledger.told()["requests"]
    shown = [(each["tracking_id"], each["phone"], each["error"], each["msg_id"]) for each in told]
    assert shown == [
        ("a", "84912345678", 0, msg_id),
        ("b", "84900000118", -118, None),
        (None, None, -122, None),
    ]


def test_no_token_and_no_secret_is_in_the_ledger(scene: Scene) -> None:
    scene.send()
    scene.send(headers={"access_token": "somebody-else's"})
    told = str(scene.zalo.ledger.told())
    for secret in (scene.token, scene.credentials["grant"]["refresh_token"], "somebody-else's"):
        assert secret not in told
    assert scene.credentials["app_secret"] not in told
    assert scene.credentials["oa_secret"] not in told
