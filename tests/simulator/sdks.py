"""What the tests of other people's SDKs share."""

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from zalo_sdk import ZaloException
from zalosdk import ZaloClient

from .hosts import Hosts

PHONE = "84912345678"
OTP = {"otp": "482913"}


def other_of(zalo: Any, hosts: Hosts, grant: Any, verifier: str = "v" * 43) -> Any:
    """zalopysdk, which has an option for its proxy."""
    sdk = ZaloClient(zalo["app_id"], zalo["app_secret"], verifier, https_proxy=hosts.url)
    sdk.access_token = grant
    return sdk


@contextlib.contextmanager
def refused(error: int, kind: Any = ZaloException, message: str | None = None) -> Iterator[None]:
    """The SDK raises its own error, of exactly this kind, with Zalo's number and text."""
    with pytest.raises(kind) as caught:
        yield
    refusal: Any = caught.value
    assert type(refusal) is kind
    assert type(refusal._code) is int
    assert refusal._code == error
    assert isinstance(refusal._custom_message, str)
    assert message in (None, refusal._custom_message)


def checked(client: Any, method: str, url: str, body: Any = None, **query: Any) -> Any:
    """A call of an address that the SDK has no method for, through all that its methods go through."""
    url = f"{url}?{urlencode(query)}" if query else url
    response = client.send_request(method, url, body, headers=client.create_request_header(method))
    client.check_http_error(response)
    answer = response.json()
    client.check_zalo_zns_error(answer)
    return answer
