"""The page at the end of a consent: for people, in two languages, and safe whatever stands in its address."""

import re
from datetime import UTC, datetime
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.login import Unreadable
from gateway.core.login_end import (
    Denied,
    Ended,
    ExchangeLost,
    ExchangeRefused,
    Granted,
    NoSuchLogin,
    NotNow,
    OtherAccount,
    StillWorking,
)
from gateway.http.consent import html_of
from gateway.http.consent_pages import page_of, page_of_unreadable

EVIL = '"><script>alert(1)</script><img src=//evil.example>&amp;\u202e'
ENDS: list[tuple[Ended, int, str]] = [
    (Granted("main", 2, datetime(2026, 11, 24, tzinfo=UTC)), 200, "generation 2"),
    (NoSuchLogin(), 410, "30 minutes"),
    (NoSuchLogin(was_used=True), 410, "was used before"),
    (OtherAccount("main", "oa-1", "oa-2"), 409, "oa-2"),
    (Denied("main", "-14099", "no thanks"), 403, "no thanks"),
    (ExchangeRefused("main", -14010, "bad code"), 422, "-14010"),
    (ExchangeRefused("main", None, "bad code"), 422, "app_secret"),
    (ExchangeLost("main", "timed-out"), 503, "spent"),
    (StillWorking("main", 3), 409, "--replace"),
    (NotNow("store"), 503, "Reload"),
    (NotNow("store", "main"), 503, "new link"),
    (NotNow("zalo", "main"), 503, "Zalo cannot be reached"),
    (NotNow("saving", "main"), 503, "lost"),
]


@pytest.mark.parametrize(("ended", "status", "word"), ENDS, ids=lambda it: type(it).__name__)
def test_each_end_has_its_status_and_is_told_in_both_languages(ended: Ended, status: int, word: str) -> None:
    page = page_of(ended)
    text = unescape(html_of(page).decode())
    assert page.status == status
    assert word in text
    assert text.count('<section lang="en">') == text.count('<section lang="vi">') == 1
    for words in (page.english, page.vietnamese):
        assert all(part in text for part in (words.title, words.happened, words.next_step))
    assert page.vietnamese.happened != page.english.happened
    assert (page.command is None) == (status == 200), "whoever has not got a grant is told what to type"


@pytest.mark.parametrize("fault", ["missing", "repeated", "unreadable", "too long"])
@pytest.mark.parametrize("parameter", ["code", "state", "oa_id", "query"])
def test_each_fault_of_the_address_is_told_with_its_parameter(parameter: str, fault: str) -> None:
    page = page_of_unreadable(Unreadable(parameter, fault))
    assert (page.status, parameter in page.english.happened, fault in page.english.happened) == (400, True, True)


@given(st.text(max_size=400) | st.just(EVIL))
def test_what_came_from_outside_is_escaped_clipped_and_loads_nothing(text: str) -> None:
    for ended in (
        OtherAccount("main", "oa-1", text),
        Denied("main", text, text),
        ExchangeRefused("main", -14010, text),
    ):
        page = html_of(page_of(ended)).decode()
        assert set(re.findall(r"</?([a-z0-9!]+)", page)) <= {
            *("!doctype", "html", "head", "meta", "title", "style", "body", "section", "h1", "p", "pre", "code")
        }
        assert re.findall(r"\b(?:src|href|action|on\w+)=(?=[\"'])", re.sub(r">[^<]*<", "><", page)) == []
        assert len(page) < 6000
