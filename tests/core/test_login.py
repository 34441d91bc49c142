"""What a browser brings back is read, whatever stands in the address; and the challenge is PKCE's."""

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.login import (
    MOST_CODE,
    MOST_QUERY,
    Callback,
    Unreadable,
    challenge_of,
    is_verifier,
    read_callback,
    read_pasted,
)

STATE = "s" * 43
GOOD = {"code": "a-code", "oa_id": "2893352839501541173", "state": STATE}
READ = Callback("a-code", "2893352839501541173", STATE)
NAMES = ["code", "oa_id", "state", "error", "error_code", "error_description", "message", "other"]


def test_the_challenge_is_that_of_the_published_vector() -> None:
    assert (
        challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
        == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("a" * 42, False),
        ("a" * 43, True),
        ("~._-" * 32, True),
        ("a" * 129, False),
        ("é" * 43, False),
        ("a" * 43 + "\n", False),
    ],
)
def test_a_verifier_is_of_pkces_alphabet_and_length(text: str, is_one: bool) -> None:
    assert is_verifier(text) is is_one


def test_a_callback_is_read_and_what_zalo_may_add_is_passed_over() -> None:
    assert read_callback(urlencode(GOOD)) == READ
    assert read_callback(urlencode([*GOOD.items(), ("new", "1"), ("new", "2")])) == READ
    assert read_callback("code=c") == Callback("c", None, None)
    assert read_callback(urlencode(GOOD | {"error": "0"})) == READ


@pytest.mark.parametrize(
    ("query", "parameter", "fault"),
    [
        ("", "code", "missing"),
        (f"state={STATE}&oa_id=1", "code", "missing"),
        (f"code=&state={STATE}", "code", "missing"),
        (f"code=a&code=b&state={STATE}", "code", "repeated"),
        (f"code=a&state={STATE}&state={STATE}", "state", "repeated"),
        ("code=a&state=short", "state", "unreadable"),
        (f"code=a&state={'s' * 44}", "state", "unreadable"),
        (f"code=a&state={'%00' * 43}", "state", "unreadable"),
        (f"code=a%0ab&state={STATE}", "code", "unreadable"),
        (f"code={'c' * (MOST_CODE + 1)}&state={STATE}", "code", "too long"),
        (f"code=a&oa_id=%3Cb%3E&state={STATE}", "oa_id", "unreadable"),
        (f"code={'c' * MOST_QUERY}", "query", "too long"),
        ("&".join(f"p{number}=1" for number in range(60)), "query", "too long"),
    ],
)
def test_what_is_missing_repeated_or_huge_is_told(query: str, parameter: str, fault: str) -> None:
    assert read_callback(query) == Unreadable(parameter, fault)


def test_an_error_instead_of_a_code_is_a_callback_too() -> None:
    query = urlencode({"error": "access_denied", "error_description": "no\nthanks" + "x" * 300, "state": STATE})
    denied = read_callback(query)
    assert isinstance(denied, Callback)
    assert (denied.code, denied.error, denied.state) == (None, "access_denied", STATE)
    assert denied.words.startswith("no thanksx")
    assert len(denied.words) == 200


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.text(max_size=60)), max_size=8))
def test_no_query_is_too_strange_to_be_read(pairs: list[tuple[str, str]]) -> None:
    read = read_callback(urlencode(pairs, errors="replace"))
    if isinstance(read, Callback):
        assert read.state is None or len(read.state) == 43
        assert (read.code is None) is (read.error is not None)
        assert (read.code or "").isascii()
        assert read.words.isprintable()


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")))
def test_no_text_is_too_strange_to_be_pasted(text: str) -> None:
    for read in (read_callback(text), read_pasted(text)):
        assert isinstance(read, Callback | Unreadable)
        assert repr(read) == "Callback(…)" or isinstance(read, Unreadable)


@pytest.mark.parametrize(
    "text",
    [
        f"https://zns.example.com/oauth/zalo/callback?{urlencode(GOOD)}",
        f"  http://127.0.0.1:8080/x?{urlencode(GOOD)}#top\n",
        urlencode(GOOD),
    ],
)
def test_the_address_of_the_page_can_be_pasted(text: str) -> None:
    assert read_pasted(text) == READ


def test_what_a_mail_or_a_shell_puts_around_an_address_does_not_matter() -> None:
    address = f"https://x.example/cb?code=a-code&oa_id=2893352839501541173&state={STATE}"
    for text in (f"<{address}>", f'"{address}"', f"'{address}'", f"`{address}`", address.replace("&", "&amp;")):
        assert read_pasted(f" {text}\n") == READ


@pytest.mark.parametrize("ref", ["https%3A%2F%2Foauth.zaloapp.com", "HTTPS%3a%2f%2fx.example%3Fcode%3Db"])
def test_an_address_in_another_parameter_leaves_the_code_as_it_is(ref: str) -> None:
    address = f"https://x.example/cb?code=a%2Bb%2Fc%26d%25&oa_id=2893352839501541173&state={STATE}&ref={ref}"
    assert read_pasted(address) == Callback("a+b/c&d%", "2893352839501541173", STATE)
    assert read_pasted(quote(address, safe="")) == read_pasted(address), (
        "also where all of it is encoded once more"
    )


@pytest.mark.parametrize("code", ["a" * 16, "a-B_9" * 20, "YWJj" * 9 + "=", "YWI" * 9 + "=="])
def test_the_bare_code_can_be_pasted(code: str) -> None:
    assert read_pasted(f" {code} \n") == Callback(code, None, None)


@pytest.mark.parametrize("text", ["", "hello", "a" * 15, "two words", "http://[", "http://x/?a=[1"])
def test_what_holds_no_code_is_told(text: str) -> None:
    assert isinstance(read_pasted(text), Unreadable)
