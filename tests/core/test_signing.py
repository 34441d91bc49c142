"""The signature is that of Standard Webhooks, and a secret is what the standard calls one."""

import base64

import pytest

from gateway.core.signing import read_secret, sign

# The vector that the reference libraries of the standard share.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

OTHER = "whsec_" + base64.b64encode(bytes(range(64))).decode()


def test_the_vector_of_the_standard_is_met() -> None:
    assert sign([read_secret(SECRET)], ID, at=AT, body=BODY) == SIGNATURE


def test_every_secret_signs_in_its_order() -> None:
    keys = [read_secret(OTHER), read_secret(SECRET)]
    first, second = sign(keys, ID, at=AT, body=BODY).split(" ")
    assert (first, second) == (sign(keys[:1], ID, at=AT, body=BODY), SIGNATURE)
    assert first != second


@pytest.mark.parametrize(
    ("webhook_id", "at", "body"),
    [("msg_other", AT, BODY), (ID, AT + 1, BODY), (ID, AT, BODY + b" "), (ID, AT, b'{"test": 2432232315}')],
)
def test_id_time_and_every_byte_of_the_body_are_signed(webhook_id: str, at: int, body: bytes) -> None:
    assert sign([read_secret(SECRET)], webhook_id, at=at, body=body) != SIGNATURE


def test_a_body_is_signed_as_it_is_whatever_its_bytes() -> None:
    body = bytes(range(256))
    assert sign([read_secret(SECRET)], ID, at=AT, body=body) != sign(
        [read_secret(SECRET)], ID, at=AT, body=body[1:]
    )


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_is_read_from_24_to_64_bytes(size: int) -> None:
    key = bytes(range(size))
    assert read_secret("whsec_" + base64.b64encode(key).decode()) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        SECRET.removeprefix("whsec_"),
        "WHSEC_" + SECRET.removeprefix("whsec_"),
        "whsec_" + SECRET,
        SECRET[:-1],
        SECRET + "=",
        SECRET + "\n",
        " " + SECRET,
        SECRET[:-1] + "_",  # base64url
        SECRET[:-1] + "é",
        "whsec_" + base64.b64encode(b"s" * 23).decode(),
        "whsec_" + base64.b64encode(b"s" * 65).decode(),
        "whsec_" + base64.b64encode(b"s" * 25).decode().replace("cw==", "cx=="),  # bits after the last byte
    ],
)
def test_what_is_no_secret_is_refused_and_not_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not whsec_ and base64 of 24 to 64 bytes$") as refused:
        read_secret(text)
    assert refused.value.__cause__ is None
