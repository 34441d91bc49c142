"""`GET /oauth/zalo/callback`: where Zalo sends a person after the page of consent, and the page that tells what came of it.

The page is for people: plain words, in English and in Vietnamese. It loads nothing, runs nothing, and its address,
which holds the code and the state, is neither logged nor passed on.
"""

import base64
import hashlib
from html import escape
from typing import Any, Final

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from gateway.core.login import MOST_QUERY, Unreadable, read_callback
from gateway.core.login_end import NotNow

from .consent_pages import Page, page_of, page_of_unreadable
from .doors import Doors

MEDIA_TYPE: Final = "text/html"  # the framework adds the charset
_STYLE: Final = (
    "body{font:17px/1.5 system-ui,sans-serif;max-width:38em;margin:3em auto;padding:0 1em;color:#222}"
    "h1{font-size:1.4em;margin:0 0 .3em}pre{background:#f2f2f2;padding:.6em;white-space:pre-wrap}"
    "section+section{margin-top:2em;padding-top:1.5em;border-top:1px solid #ccc}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
}


def consent_handler(doors: Doors) -> HTTPRouteHandler:
    """The handler of this file."""

    @get("/oauth/zalo/callback")
    async def finish_login(request: Request[Any, Any, Any]) -> Response[bytes]:
        try:
            page = await _page(doors, request.scope["query_string"])
        except Exception as error:  # noqa: BLE001 - the last line: a person gets a page, whatever happens
            doors.observer.fact("turn-failed", error=error)
            page = page_of(NotNow("store"))
        headers = _HEADERS | ({} if page.retry_after_s is None else {"retry-after": str(page.retry_after_s)})
        return Response(html_of(page), status_code=page.status, media_type=MEDIA_TYPE, headers=headers)

    return finish_login


async def _page(doors: Doors, query: bytes) -> Page:
    if len(query) > MOST_QUERY:
        return page_of_unreadable(Unreadable("query", "too long"))
    callback = read_callback(query.decode("latin-1"))
    if isinstance(callback, Unreadable):
        return page_of_unreadable(callback)
    if callback.state is None:  # whoever has a link without one can paste the address into a terminal
        return page_of_unreadable(Unreadable("state", "missing"))
    return page_of(await doors.logins.finish(callback))


def html_of(page: Page) -> bytes:
    """The page as it goes out."""
    command = "" if page.command is None else f"<pre><code>{escape(page.command)}</code></pre>"
    sections = "".join(
        f'<section lang="{language}"><h1>{escape(words.title)}</h1><p>{escape(words.happened)}</p>'
        f"<p>{escape(words.next_step)}</p>{command}</section>"
        for language, words in (("en", page.english), ("vi", page.vietnamese))
    )
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(page.english.title)}</title><style>{_STYLE}</style></head><body>{sections}</body></html>\n"
    )
    return text.encode("utf-8", "replace")
