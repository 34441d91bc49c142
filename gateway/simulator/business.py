"""The calls of business.openapi.zalo.me: sending, and asking what became of it."""

from functools import partial
from typing import Any

import msgspec

from gateway.simulator.codes import Refusal
from gateway.simulator.exchange import (
    ACCESS_TOKEN,
    APPSECRET_PROOF,
    GARBAGE,
    Asked,
    Ending,
    Told,
    told_html,
    told_json,
)
from gateway.simulator.faults import NOTHING, Strike
from gateway.simulator.ledger import Request
from gateway.simulator.phones import SLOW_S, Fate
from gateway.simulator.proof import proof_of
from gateway.simulator.sending import Accepted, Body, Unanswered, parse
from gateway.simulator.zalo import APP_SECRET, Zalo

_OF_FATE = {
    Fate.SLOW: Strike(delay_s=SLOW_S),
    Fate.CUT: Strike(do="cut"),
    Fate.SILENCE: Strike(do="silence"),
    Fate.GARBAGE: Strike(do="garbage"),
}


def refused(refusal: Refusal) -> Told:
    """An error of Zalo's: HTTP 200 and the number."""
    return told_json({"error": refusal.error, "message": refusal.text}, error=refusal.error)


def struck(told: Told, strike: Strike) -> Told:
    """The answer as the fault leaves it."""
    if strike.do == "html":
        told = told_html(int(strike.value))
    elif strike.do == "garbage":
        told = Told(GARBAGE, told.error, before=told.before)
    ending = {"cut": Ending.CUT, "silence": Ending.SILENCE}.get(strike.do or "", told.ending)
    return msgspec.structs.replace(told, delay_s=told.delay_s + strike.delay_s, ending=ending)


def refusal_of_access(zalo: Zalo, asked: Asked) -> Refusal | None:
    """Why the call is not let in."""
    token = asked.header(ACCESS_TOKEN)
    if not zalo.issuer.accepts(token, zalo.clock.wall()):
        return Refusal(-124)
    proof = asked.header(APPSECRET_PROOF)
    if not proof and zalo.rules.appsecret_proof == "optional":
        return None
    return None if proof == proof_of(APP_SECRET, token) else Refusal(-1241)


def send(zalo: Zalo, asked: Asked, *, is_hashed: bool) -> Told:
    """`POST /message/template` and `/message/template/hashphone`."""
    strike = zalo.faults.draw("send")
    body = parse(asked.body)
    result: Accepted | Refusal | Unanswered
    if strike.do == "error":
        result = Refusal(int(strike.value))
    elif not strike.done:
        result = Unanswered()
    else:
        result = _decided(zalo, asked, body, is_hashed=is_hashed)
    told = _told_of(zalo, result)
    if strike is not NOTHING:
        told = struck(told, strike)
    _record(zalo, asked, body, result, strike)
    return told


def _decided(
    zalo: Zalo, asked: Asked, body: Body | Refusal, *, is_hashed: bool
) -> Accepted | Refusal | Unanswered:
    if asked.method != "POST":
        return Refusal(-106)
    if refusal := refusal_of_access(zalo, asked):
        return refusal
    if isinstance(body, Refusal):
        return body
    return zalo.sending.send(body, is_hashed=is_hashed, rules=zalo.rules)


def _told_of(zalo: Zalo, result: Accepted | Refusal | Unanswered) -> Told:
    match result:
        case Accepted():
            fate = result.plan.fate
            strike = NOTHING if fate is Fate.NEVER else zalo.faults.draw("webhook")
            early = zalo.deliveries.accepted(result.message, result.plan, strike)
            told = Told(result.body(), before=partial(zalo.post_now, early) if early else None)
            return struck(told, _OF_FATE[fate]) if fate in _OF_FATE else told
        case Refusal():
            return refused(result)
        case Unanswered():
            return told_html()


def _record(
    zalo: Zalo,
    asked: Asked,
    body: Body | Refusal,
    result: Accepted | Refusal | Unanswered,
    strike: Strike,
) -> None:
    tracking_id = phone = template_id = None
    if isinstance(body, Body):
        phone = _text(body.phone) or _text(body.hash_phone)
        tracking_id, template_id = _text(body.tracking_id), _text(body.template_id)
    error = result.error if isinstance(result, Refusal) else 0 if isinstance(result, Accepted) else None
    msg_id = result.message.msg_id if isinstance(result, Accepted) else None
    wall = result.message.accepted_at if isinstance(result, Accepted) else zalo.clock.wall()
    zalo.ledger.requests.add(
        Request(wall, asked.path, error, tracking_id, phone, template_id, msg_id, strike.name)
    )


def _text(given: Any) -> str | None:
    return given[:256] if isinstance(given, str) else None


def status(zalo: Zalo, asked: Asked) -> Told:
    """`GET /message/status`: whether the phone has it."""
    strike = zalo.faults.draw("status")
    message_id = asked.query().get("message_id", "")
    if strike.do == "error":
        told = refused(Refusal(int(strike.value)))
    elif refusal := _refusal_of_asking(zalo, asked, message_id):
        told = refused(refusal)
    else:
        told = told_json({"message": "Success", "data": _standing(zalo, message_id), "error": 0})
    message = zalo.ledger.messages.get(message_id)
    zalo.ledger.requests.add(
        Request(
            zalo.clock.wall(),
            asked.path,
            told.error,
            message.tracking_id if message else None,
            msg_id=message_id[:64] or None,
            fault=strike.name,
        )
    )
    return struck(told, strike)


def _refusal_of_asking(zalo: Zalo, asked: Asked, message_id: str) -> Refusal | None:
    if asked.method != "GET":
        return Refusal(-106)
    return refusal_of_access(zalo, asked) or (None if message_id else Refusal(-107))


def _standing(zalo: Zalo, message_id: str) -> dict[str, Any]:
    message = zalo.ledger.messages.get(message_id)
    if message is None:
        return {"message": "The message does not exist", "status": -1}
    if message.delivered_at is None:
        return {"message": "The message was pushed, and not yet delivered to the user's phone", "status": 0}
    return {
        "delivery_time": str(int(message.delivered_at * 1000)),
        "message": "The message was delivered to the user's phone",
        "status": 1,
    }


def quota(zalo: Zalo, _asked: Asked) -> Told:
    """`GET /message/quota`: ints here, where a send's answer has texts."""
    wall, rules = zalo.clock.wall(), zalo.rules
    data = {
        "dailyQuota": rules.daily_quota,
        "remainingQuota": zalo.quotas.remaining(wall, rules),
        "dailyQuotaPromotion": None,
        "remainingQuotaPromotion": None,
        "monthlyPromotionQuota": rules.monthly_promotion_quota,
        "remainingMonthlyPromotionQuota": zalo.quotas.remaining_promotions(wall, rules),
        "estimatedNextMonthPromotionQuota": rules.monthly_promotion_quota,
    }
    return told_json({"data": data, "error": 0, "message": "success"})


def rating(zalo: Zalo, asked: Asked) -> Told:
    """`POST /rating/get`, parameters in the query: what customers thought of a template's messages."""
    query = asked.query()
    if query.get("template_id") not in zalo.templates:
        return refused(Refusal(-109))
    try:
        since, until = int(query["from_time"]), int(query["to_time"])
        offset, limit = int(query.get("offset", "0")), int(query.get("limit", "100"))
    except (KeyError, ValueError):
        return refused(Refusal(-132))
    if offset < 0 or limit < 0:
        return refused(Refusal(-132))
    found = [
        each
        for each in zalo.ratings
        if each.template_id == query["template_id"] and since <= each.submit_ms <= until
    ]
    shown = [
        {
            "note": each.note,
            "rate": each.rate,
            "submitDate": str(each.submit_ms),
            "msgId": each.msg_id,
            "feedbacks": each.feedbacks,
            "trackingId": each.tracking_id,
            "rating_type": "csat",
            "option": "five_emotions",
        }
        for each in found[offset : offset + limit]
    ]
    return told_json({"error": 0, "data": {"total": len(found), "data": shown}})
