"""What is put into requests: whatever has ever surprised a parser, a decoder, a database or a log."""

from typing import Any

# fmt: off
TOKENS: tuple[bytes, ...] = (
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"null", b"true", b"-0", b"1e999", b"-1e999", b"NaN", b"Infinity",
    b"9" * 400, b"18446744073709551616", b"-9223372036854775809", b"0.1e-400", b"1E+308", b"[" * 70, b'{"a":' * 70,
    b'"\\ud800"', b"\\ud800", b"\\udc00\\ud800", b"\\u0000", b"\\uffff", b"\x00", b"\xff\xfe", b"\xc0\xaf",
    b"\xed\xa0\x80", b"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", b"\xef\xbb\xbf", b"\xd9\xa1\xd9\xa2",
    b"%zz", b"%", b"%00", b"%ff", b"%0d%0a", b"%F0%9F", b"{{ 7*7 }}", b"{% for x in y %}", b"__class__",
    b"../../etc/passwd", b"' OR 1=1 --", b"$NAME", b"${GATEWAY_KEY}", b"a" * 300, b"A" * 5000, b"\xcc\x81" * 300,
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\nX: y", b"\t", b" ", b"\x0b", b"\x7f", b"\x85", b"\xe2\x80\xa8",
    "Nguyễn Văn Ẩn".encode(), "Nguye\u0302\u0303n".encode(), "\u202e\u200f\u2066".encode(),
    b"0912345678", b"+84912345678", b"2026-02-30", b"0001-01-01", b"9999-12-31T23:59:59Z", b"2026-11-23T24:00:00Z",
    b"-1", b"0", b"99999999999999999999", b"253402300800", b"1e308",
)
HEADERS: tuple[bytes, ...] = (
    b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 99999999999999999999", b"Content-Length: 0x10",
    b"Content-Length: 1, 1", b"Content-Length: \xb2", b"Transfer-Encoding: chunked", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity", b"Connection: close", b"Connection: upgrade",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", b"Upgrade: websocket",
    b"Expect: 100-continue", b"Expect: 200-ok", b"Host: a\r\nHost: b", b"Host:", b"Host: \xff", b" folded: value",
    b"X: a\r\n b", b"X-\x00: y", b"X: \x00", b"X: \xff\xfe", b"\xc3\xa9: y", b": empty", b"X", b"X Y: z",
    b"X:" + b"a" * 70_000, b"Content-Encoding: gzip", b"Content-Type: application/json; charset=utf-16",
    b"Content-Type:", b"Content-Type: \xe9", b"Content-Type: multipart/form-data; boundary=x",
    b"Content-Type: application/x-www-form-urlencoded", b"Cookie: a=b; \xff=", b"Cookie: " + b"a=b; " * 2000,
    b"X-Forwarded-For: \x01", b"Forwarded: for=_", b"X-Http-Method-Override: PUT", b"Authorization: Bearer",
    b"Authorization: Basic \xff\xfe", b"Authorization: Bearer \xe1\xba\xa9", b"Authorization:", b"Prefer: wait=0",
    b'Prefer: wait="0"; x, respond-async', b"Prefer: wait=-1", b"Prefer: wait=\xb2, wait=0", b"Prefer: " + b"," * 3000,
    b"Idempotency-Key:", b'Idempotency-Key: ""', b'Idempotency-Key: "\\', b"Idempotency-Key: \xff",
    b"Idempotency-Key: " + b"k" * 256, b"ce-specversion: 1.0", b"ce-specversion: 0.3", b"ce-id: %zz", b"ce-id: %00",
    b"ce-id: %ff%fe", b"ce-id: %ED%A0%80", b"ce-id:", b"ce-type: order.paid", b"ce-source: \xff", b"ce-: x",
    b"ce-data: {}", b"ce-time: 0", b"ce-id: " + b"%41" * 300, b"ce-Data_Base64: e30=", b"X-ZEvent-Signature: mac=",
    b"X-ZEvent-Signature: mac=\xff", b"X-ZEvent-Server: \xff", b"Accept: \x22", b"Range: bytes=0-1",
    b"If-None-Match: *", b"Origin: null", b"Accept-Encoding: gzip;q=x", b"TE: trailers", b"Trailer: X",
    b"Keep-Alive: timeout=0", b"\r\n".join(b"X-%d: y" % number for number in range(3000)),
)
LINES: tuple[bytes, ...] = (
    b"GET /livez HTTP/0.9", b"GET /livez", b"GET  /livez HTTP/1.1", b"GET /livez HTTP/1.0", b"GET /livez HTTP/2.0",
    b"get /livez HTTP/1.1", b"GET livez HTTP/1.1", b"GET ?x HTTP/1.1", b"GET # HTTP/1.1", b"GET /livez#x HTTP/1.1",
    b"GET http:// HTTP/1.1", b"GET //[ HTTP/1.1", b"GET http://[::1/ HTTP/1.1", b"GET http://a:b/livez HTTP/1.1",
    b"CONNECT gateway:80 HTTP/1.1", b"OPTIONS * HTTP/1.1", b"PRI * HTTP/2.0", b"GET /\xff HTTP/1.1", b"FOO / HTTP/1.1",
    b"GET /%ff HTTP/1.1", b"GET /%zz HTTP/1.1", b"GET /v1/messages/%ff%00 HTTP/1.1", b"GET /livez\x00 HTTP/1.1",
    b"GET /v1/messages?limit=%ff HTTP/1.1", b"GET /v1/messages?\xff=\xfe HTTP/1.1", b"POST /v1/events?x=y HTTP/1.1",
    b"GET /v1/messages?" + b"&" * 5000 + b" HTTP/1.1", b"GET /" + b"a" * 70_000 + b" HTTP/1.1",
    b"POST /v1%2Fevents HTTP/1.1", b"\r\nGET /livez HTTP/1.1", b"GET /v1/messages?cursor=%00 HTTP/1.1",
    b"GET /v1/messages?since=0001-01-01T00:00:00%2B14:00 HTTP/1.1", b"POST /oauth/zalo/callback HTTP/1.1",
)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**400, 0.1, -0.0, 1e308, 1e-320,
    float("nan"), float("inf"), "", " ", "a" * 255, "a" * 256, "A" * 10_000, "\0", "\ud800", "\x85", "\u2028", "x\r\ny",
    "{{ 7*7 }}", "{{ data }}", "Nguyễn", "\u202eabc", "👩‍💻" * 40, "e" + "\u0301" * 400, "٠٩١٢٣٤٥٦٧٨", "0912345678.0",
    "+840912345678", 912345678, 84912345678, 9.12345678e8, "9" * 5000, "1e400", "1_000", "-5", "1.5", "0x10", "１２３",
    "NaN", "Infinity", "2026-11-23", "9999-12-31T23:59:59Z", "0001-01-01", "10000-01-01", 253402300799, 1e18, -1e18,
    "2026-11-23T08:00:00+23:59", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", [], {}, [[]], [None] * 200,
    {"a": {"b": {}}}, [{"name": "x"}], {"": ""}, "1.0", "1", 1.0, "order.paid", "fuzz.wide", "auth.otp", "*",
    "order.*", "application/json", "text/plain", "e30=",
)
NAMES = ("", "a/b~c", "\0", "__class__", "items", "data_base64", "é" * 100, "id", "data", "\ud800")
# fmt: on
