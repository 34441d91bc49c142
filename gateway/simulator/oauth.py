"""The calls of oauth.zaloapp.com: the page of consent, and the token endpoint."""

import hmac
from html import escape
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec

from gateway.simulator.business import struck
from gateway.simulator.exchange import HTML, SECRET_KEY, Asked, Told, told_html, told_json
from gateway.simulator.faults import NOTHING, Strike
from gateway.simulator.issuer import (
    BAD_APP,
    BAD_GRANT_TYPE,
    BAD_REDIRECT,
    BAD_REFRESH,
    NAMES,
    Denied,
    Grant,
    Issued,
    Spent,
)
from gateway.simulator.ledger import Request
from gateway.simulator.zalo import APP_ID, APP_SECRET, OA_ID, Zalo

_STYLE: Final = "body{font:16px sans-serif;max-width:32em;margin:4em auto}button{font-size:1em;padding:.5em 2em}"


def token(zalo: Zalo, asked: Asked) -> Told:
    """`POST /v4/oa/access_token`: a grant for a code or for a refresh token."""
    form = asked.form()
    grant_type = form.get("grant_type", "")
    strike = zalo.faults.draw("refresh") if grant_type == "refresh_token" else NOTHING
    presented = form.get("refresh_token" if grant_type == "refresh_token" else "code", "")
    if strike.do == "error" or not strike.done:
        zalo.issuer.refuse(zalo.clock.wall(), grant_type, "not-reached", presented, strike.name)
        told = _told_of(zalo, Denied(int(strike.value)))
    elif denied := _refusal_of_client(zalo, asked, form):
        zalo.issuer.refuse(zalo.clock.wall(), grant_type, "refused", presented, strike.name)
        told = _told_of(zalo, denied)
    else:
        told = _told_of(zalo, _issued(zalo, form, strike))
    zalo.ledger.requests.add(Request(zalo.clock.wall(), asked.path, told.error, fault=strike.name))
    return struck(told, strike)


def _refusal_of_client(zalo: Zalo, asked: Asked, form: dict[str, str]) -> Denied | None:
    if asked.method != "POST":
        return Denied(-106, "Method unsupported.")
    if form.get("app_id") != APP_ID:
        return Denied(BAD_APP)
    secret = asked.header(SECRET_KEY)
    if not hmac.compare_digest(secret.encode(), APP_SECRET.encode()):
        return Denied(zalo.rules.wrong_secret_error, "Invalid secret key.")
    if form.get("grant_type") not in ("refresh_token", "authorization_code"):
        return Denied(BAD_GRANT_TYPE)
    return None


def _issued(zalo: Zalo, form: dict[str, str], strike: Strike) -> Issued:
    wall, rules = zalo.clock.wall(), zalo.rules
    if form["grant_type"] == "authorization_code":
        code, verifier = form.get("code", ""), form.get("code_verifier", "")
        return zalo.issuer.exchange(code, verifier, wall, rules.expires_in, strike.name)
    return zalo.issuer.refresh(
        form.get("refresh_token", ""),
        wall,
        rules.expires_in,
        ends_old_access=rules.refresh_ends_old_access,
        fault=strike.name,
    )


def _told_of(zalo: Zalo, issued: Issued) -> Told:
    match issued:
        case Grant():
            return told_json(msgspec.to_builtins(issued), error=None)
        case Spent() if zalo.rules.spent_refresh == "empty":
            return Told(b"", None)
        case Spent():
            return _told_of(zalo, Denied(BAD_REFRESH))
        case Denied():
            members = {
                "error": issued.error,
                "error_name": issued.name,
                "message": "",
                "access_token": "",
                "refresh_token": "",
            }
            return told_json(members, error=issued.error, status=zalo.rules.oauth_error_status)


def permission(zalo: Zalo, asked: Asked) -> Told:
    """`/v4/oa/permission`: GET shows the page of consent, POST is its button and redirects."""
    given = {**asked.query(), **(asked.form() if asked.method == "POST" else {})}
    redirect_uri = given.get("redirect_uri", "")
    if given.get("app_id") != APP_ID:
        told = _error_page(BAD_APP)
    elif not _is_redirect(redirect_uri, zalo.rules.redirect_uri):
        told = _error_page(BAD_REDIRECT)
    elif asked.method == "POST":
        code = zalo.issuer.consent(given.get("code_challenge", ""), redirect_uri, zalo.clock.wall())
        told = Told(b"", 0, 302, HTML, _landing(redirect_uri, code, given.get("state")))
    else:
        told = _consent_page(given)
    zalo.ledger.requests.add(Request(zalo.clock.wall(), asked.path, told.error))
    return told


def _is_redirect(uri: str, registered: str | None) -> bool:
    if not uri.isascii() or not uri.isprintable() or (registered is not None and uri != registered):
        return False
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and not parts.fragment


def _landing(redirect_uri: str, code: str, state: str | None) -> str:
    members = {"code": code, "oa_id": OA_ID} | ({} if state is None else {"state": state})
    return f"{redirect_uri}{'&' if urlsplit(redirect_uri).query else '?'}{urlencode(members)}"


def _consent_page(given: dict[str, str]) -> Told:
    names = ("app_id", "redirect_uri", "code_challenge", "state")
    fields = "".join(
        f'<input type="hidden" name="{name}" value="{escape(given[name])}">' for name in names if name in given
    )
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Zalo simulator</title>'
        f"<style>{_STYLE}</style><h1>Zalo simulator</h1><p>The application <b>{escape(APP_ID)}</b> asks to act "
        f"for the Official Account <b>{escape(OA_ID)}</b>. Approving ends every grant given before.</p>"
        f'<form method="post" action="/v4/oa/permission">{fields}'
        f'<button type="submit" name="decision" value="approve">Approve</button></form></html>'
    )
    return told_html(200, page.encode("utf-8", "replace"))


def _error_page(code: int) -> Told:
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Zalo simulator</title>'
        f"<style>{_STYLE}</style><h1>{escape(NAMES[code])}</h1><p>error_code={code}</p></html>"
    )
    return Told(page.encode(), code, 200, HTML)
