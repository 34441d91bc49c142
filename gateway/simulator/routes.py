"""Which path is answered by what; no path of Zalo's clashes with another."""

from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.simulator import business, control, listing, oauth
from gateway.simulator.codes import Refusal
from gateway.simulator.exchange import Asked, Told, told_json
from gateway.simulator.ledger import Request
from gateway.simulator.zalo import Zalo

Endpoint = Callable[[Asked], Told]
HOT: Final = ("/message/template", "/message/template/hashphone")


def endpoints(zalo: Zalo) -> dict[str, Endpoint]:
    """Every path that there is, with what answers it."""
    guarded: dict[str, tuple[str, Callable[[Zalo, Asked], Told]]] = {
        "/message/quota": ("GET", business.quota),
        "/message/template-tag": ("GET", listing.template_tag),
        "/quality": ("GET", listing.quality),
        "/template/all": ("GET", listing.template_all),
        "/template/info": ("GET", partial(listing.template_info, is_v1=True)),
        "/template/info/v2": ("GET", partial(listing.template_info, is_v1=False)),
        "/template/sample-data": ("GET", listing.sample_data),
        "/rating/get": ("POST", business.rating),
    }
    return {
        "/message/template": partial(business.send, zalo, is_hashed=False),
        "/message/template/hashphone": partial(business.send, zalo, is_hashed=True),
        "/message/status": partial(business.status, zalo),
        **{path: partial(_guarded, zalo, method, call) for path, (method, call) in guarded.items()},
        "/v4/oa/access_token": partial(oauth.token, zalo),
        "/v4/oa/permission": partial(oauth.permission, zalo),
        **{path: partial(control.answer, zalo) for path in control.CALLS},
    }


def unknown(zalo: Zalo, asked: Asked) -> Told:
    """What a path that is not there is told."""
    if asked.path.startswith("/__sim/"):
        return control.answer(zalo, asked)
    zalo.ledger.requests.add(Request(zalo.clock.wall(), asked.path[:256], 404))
    return told_json({"error": 404, "message": "empty api"}, error=404)


def _guarded(zalo: Zalo, method: str, call: Callable[[Zalo, Asked], Told], asked: Asked) -> Told:
    """What the call is told, if it may be made at all."""
    refusal = Refusal(-106) if asked.method != method else business.refusal_of_access(zalo, asked)
    told = business.refused(refusal) if refusal else call(zalo, asked)
    zalo.ledger.requests.add(Request(zalo.clock.wall(), asked.path, told.error))
    return told
