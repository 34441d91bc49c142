"""Every number that Zalo answers with, as data: what it means, whose business it is, and what the gateway does.

Numbers and meanings: Source: docs/zalo.md §5. What is done: the effects table of docs/zalo.md §6. The page
docs/zalo-errors.md is generated from here, and a test keeps the two equal.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.core.delivery import Category, Reason, Scope, Until, Wait


class Code(msgspec.Struct, frozen=True):
    """What one number of Zalo's means for a message. Without a `wait` it is final."""

    number: int
    code: str
    category: Category
    meaning: str
    advice: str
    wait: Wait | None = None
    blocks_template: bool = False

    @property
    def is_permanent(self) -> bool:
        """True when the same message would be refused again."""
        return self.wait is None


RECIPIENT: Final = Category.RECIPIENT
REQUEST: Final = Category.REQUEST
CONFIGURATION: Final = Category.CONFIGURATION
CREDENTIALS: Final = Category.CREDENTIALS
BILLING: Final = Category.BILLING
QUOTA: Final = Category.QUOTA

OTHER_CHANNEL: Final = "use another channel"
CORRECT_PHONE: Final = "correct the phone number, or use another channel"
CORRECT_VALUES: Final = "correct the values that the mapping puts into the template"
CORRECT_MAPPING: Final = "correct the mapping against the template as Zalo has it now"
MEND_TEMPLATE: Final = "the platform team must mend the template with Zalo, or map the event to another one"
MEND_ACCOUNT: Final = "nothing: it waits; the platform team must mend the Official Account or the app with Zalo"
MEND_APP: Final = (
    "nothing: it waits; the platform team must correct app_secret of the account, and restart the gateway"
)
TOP_UP: Final = "nothing: it waits; somebody must top up or link the ZBS account"
WAITS: Final = "nothing: it goes out by itself if its time limit allows"
REPORT: Final = "report it to the platform team: the gateway should not be able to cause this"

RETRY: Final = Wait(Reason.RETRY, Scope.MESSAGE, Until.BACKOFF)
MORNING: Final = Wait(Reason.QUIET_HOURS, Scope.MESSAGE, Until.MORNING)
NEW_GRANT: Final = Wait(Reason.CREDENTIALS, Scope.ACCOUNT, Until.NEW_GRANT)
CREDENTIALS_PAUSE: Final = Wait(Reason.CREDENTIALS, Scope.ACCOUNT, Until.CURE)
BILLING_PAUSE: Final = Wait(Reason.BILLING, Scope.ACCOUNT, Until.CURE)
CONFIGURATION_PAUSE: Final = Wait(Reason.CONFIGURATION, Scope.ACCOUNT, Until.CURE)


def _recipient(number: int, code: str, meaning: str, advice: str = OTHER_CHANNEL) -> Code:
    return Code(number, code, RECIPIENT, meaning, advice)


def _request(number: int, code: str, meaning: str, advice: str = CORRECT_VALUES) -> Code:
    return Code(number, code, REQUEST, meaning, advice)


def _setup(number: int, code: str, meaning: str, advice: str = MEND_TEMPLATE) -> Code:
    return Code(number, code, CONFIGURATION, meaning, advice)


def _blocked(number: int, code: str, meaning: str) -> Code:
    return Code(number, code, CONFIGURATION, meaning, MEND_TEMPLATE, blocks_template=True)


def _paused(number: int, code: str, meaning: str) -> Code:
    return Code(number, code, CONFIGURATION, meaning, MEND_ACCOUNT, CONFIGURATION_PAUSE)


def _credentials(number: int, code: str, meaning: str, wait: Wait = CREDENTIALS_PAUSE) -> Code:
    return Code(number, code, CREDENTIALS, meaning, MEND_APP if wait.until is Until.CURE else WAITS, wait)


def _quota(number: int, code: str, meaning: str, scope: Scope, until: Until) -> Code:
    return Code(number, code, QUOTA, meaning, WAITS, Wait(Reason.QUOTA, scope, until))


_ALL: Final = (
    Code(
        -100,
        "zalo-unavailable",
        Category.TRANSIENT,
        "an unknown error at Zalo; Zalo says: try later",
        WAITS,
        RETRY,
    ),
    _paused(-101, "app-invalid", "the application is not valid"),
    _paused(-102, "app-unknown", "the application does not exist"),
    _paused(-103, "app-inactive", "the application is not activated"),
    _credentials(-104, "app-secret-invalid", "the app secret is wrong"),
    _paused(-105, "app-not-linked", "the application is not linked to any Official Account"),
    _request(-106, "method-unsupported", "Zalo does not take this HTTP method here", REPORT),
    _request(-107, "message-id-invalid", "Zalo knows no message of this id", REPORT),
    _recipient(-108, "phone-refused", "Zalo does not take the phone number as one", CORRECT_PHONE),
    _blocked(-109, "template-unknown", "the template id is not valid"),
    _setup(-1091, "template-not-editable", "the template cannot be edited through the API"),
    _recipient(-110, "zalo-version-unsupported", "the recipient's Zalo is too old for this, or there is none"),
    _request(-111, "template-data-missing", "the template got no values at all", CORRECT_MAPPING),
    _request(-112, "template-data-invalid", "a value is of the wrong kind, or a parameter is missing or unknown"),
    _request(-1121, "parameter-too-long", "a value is longer than its parameter allows"),
    _request(-1122, "parameter-missing", "a parameter that the template needs is not there", CORRECT_MAPPING),
    _request(-1123, "qr-code-failed", "no QR code can be made from the values"),
    _request(-1124, "parameter-malformed", "a value does not have the format of its parameter"),
    _request(-113, "button-invalid", "a button is not valid", CORRECT_MAPPING),
    _request(-1131, "button-malformed", "a button's link or content is malformed", CORRECT_MAPPING),
    _setup(-1132, "button-missing", "the template needs at least one button"),
    _recipient(-114, "recipient-unavailable", "the recipient cannot get it: account state, opt-out or an old app"),
    Code(-115, "balance-insufficient", BILLING, "the ZBS account has too little money", TOP_UP, BILLING_PAUSE),
    _request(-116, "text-invalid", "a text is not valid"),
    _blocked(-117, "template-not-permitted", "the Official Account or the app may not use this template"),
    _recipient(-118, "recipient-not-on-zalo", "the number has no Zalo account, or it is disabled"),
    _recipient(-119, "recipient-cannot-receive", "the account cannot receive such messages"),
    _paused(
        -120,
        "feature-not-permitted",
        "the Official Account lacks the permission; its package may have lapsed",
    ),
    _setup(-1201, "promotion-template-not-permitted", "the Official Account may not make promotion templates"),
    _setup(-1202, "media-not-permitted", "the Official Account may not use media"),
    _request(-121, "body-empty", "the request had no body", REPORT),
    _request(-122, "body-malformed", "the body was not JSON", REPORT),
    _request(-123, "rsa-decoding-failed", "RSA decoding failed", REPORT),
    _credentials(-124, "access-token-invalid", "the access token is not valid, or has expired", NEW_GRANT),
    _credentials(-1241, "appsecret-proof-invalid", "the appsecret_proof is wrong: the app secret may be"),
    _paused(-125, "oa-id-invalid", "the Official Account's id is not valid"),
    Code(-126, "development-wallet-empty", BILLING, "the development wallet is empty", MEND_TEMPLATE),
    _setup(-127, "development-only", "a template in test goes only to admins of the Official Account or the app"),
    _request(-128, "encoding-key-unknown", "the encoding key does not exist", REPORT),
    Code(
        -129,
        "rsa-key-failed",
        Category.TRANSIENT,
        "Zalo could not make an RSA key; it says: retry",
        WAITS,
        RETRY,
    ),
    _request(-130, "content-too-long", "the content is over 100,000 characters"),
    _blocked(-131, "template-not-approved", "the template is not approved"),
    _request(-132, "parameter-invalid", "a parameter of the request is not valid", CORRECT_MAPPING),
    Code(
        -133,
        "quiet-hours",
        Category.WINDOW,
        "this template may not go out from 22:00 to 06:00",
        WAITS,
        MORNING,
    ),
    _recipient(-134, "recipient-not-opted-in", "the recipient has not answered the opt-in"),
    _paused(
        -135,
        "oa-not-permitted",
        "the Official Account may not send such messages: unverified, or a free package",
    ),
    _paused(-1351, "oa-blocked", "the Official Account is blocked for a violation"),
    Code(-136, "zbs-account-not-linked", CONFIGURATION, "no ZBS account is linked", TOP_UP, CONFIGURATION_PAUSE),
    Code(-137, "charge-failed", BILLING, "the ZBS account could not be charged", TOP_UP, BILLING_PAUSE),
    _paused(-138, "app-not-permitted", "the application has no permission for this feature"),
    _paused(-1381, "zbs-account-not-shared", "the Official Account has not let the app use its ZBS account"),
    _recipient(-139, "recipient-refuses-kind", "the recipient refuses this kind of message"),
    _recipient(
        -140,
        "recipient-not-eligible",
        "the recipient may not get this kind: no dealings in the last 6 months",
    ),
    _recipient(-141, "recipient-refuses-oa", "the recipient refuses messages from this Official Account"),
    _request(-142, "rsa-key-missing", "there is no RSA key", REPORT),
    _request(-143, "rsa-key-exists", "there is an RSA key already", REPORT),
    _quota(-144, "daily-quota-reached", "the account's daily quota is used up", Scope.ACCOUNT, Until.NEXT_DAY),
    _quota(
        -1441,
        "promotion-quota-reached",
        "the monthly promotion quota is used up",
        Scope.TEMPLATE,
        Until.NEXT_MONTH,
    ),
    _blocked(-145, "content-kind-not-permitted", "the Official Account may not send this kind of content"),
    _blocked(-146, "template-disabled", "the template is disabled for low quality"),
    _quota(
        -147,
        "template-quota-reached",
        "the template's daily quota is used up",
        Scope.TEMPLATE,
        Until.NEXT_DAY,
    ),
    _quota(
        -1471,
        "recipient-monthly-limit",
        "the recipient has had this month's messages",
        Scope.MESSAGE,
        Until.NEXT_MONTH,
    ),
    _quota(
        -1472,
        "recipient-daily-limit",
        "the recipient has had today's messages",
        Scope.MESSAGE,
        Until.NEXT_DAY,
    ),
    _request(-148, "journey-token-missing", "the journey token is not there", REPORT),
    _request(-149, "journey-token-invalid", "the journey token is not valid", REPORT),
    _request(-1491, "journey-token-wrong-type", "the journey token is of the wrong type", REPORT),
    _request(-150, "journey-token-expired", "the journey token has expired", REPORT),
    _setup(-151, "template-not-encrypted", "the template is not for end-to-end encryption"),
    _request(-152, "encryption-key-failed", "the key for end-to-end encryption could not be had", REPORT),
    _request(-153, "data-against-rules", "a value is against Zalo's rules of content"),
    _setup(-158, "file-too-big", "the file is too big"),
    _setup(-159, "file-format-unsupported", "Zalo does not take this file format"),
    _setup(-160, "template-management-quota", "today's quota for making and editing templates is used up"),
    _request(-161, "sending-mode-not-permitted", "the Official Account may not use this sending_mode", REPORT),
    _request(-162, "sending-mode-wrong-tag", "sending_mode 3 is not for this tag of template", REPORT),
    _credentials(-216, "access-token-invalid", "the access token is not valid", NEW_GRANT),
    _credentials(-220, "access-token-invalid", "the access token has expired or was removed", NEW_GRANT),
)

TABLE: Final[Mapping[int, Code]] = {code.number: code for code in _ALL}

# In development mode these two say that nobody but an admin can be reached with this template.
IN_DEVELOPMENT: Final[Mapping[int, Code]] = {
    number: msgspec.structs.replace(TABLE[number], category=CONFIGURATION, blocks_template=True, advice=advice)
    for number, advice in {
        -126: "fill the development wallet at Zalo, or let the caller's mode be live",
        -127: "post it for the phone of an admin of the Official Account or the app, or let the caller's mode be live",
    }.items()
}


def for_number(number: int, *, development: bool) -> Code:
    """What `number` means; one that nobody has seen before is final, `unrecognised`, and worth an alert."""
    known = IN_DEVELOPMENT.get(number) if development else None
    known = known or TABLE.get(number)
    if known is not None:
        return known
    return Code(
        number,
        "unrecognised",
        Category.UNRECOGNISED,
        "Zalo answered with a number that is not in the gateway's table",
        "the platform team must find out what it means before this is sent again",
    )


class OwnWord(msgspec.Struct, frozen=True):
    """A word of ours about an exchange that ended without a number of Zalo's."""

    code: str
    category: Category
    meaning: str
    advice: str
    is_permanent: bool = False


_MAY_HAVE_GONE: Final = "wait for the receipt; do not post it again as a new event, it may have been delivered"
_NOT_GONE: Final = WAITS


def _uncertain(code: str, meaning: str) -> OwnWord:
    return OwnWord(code, Category.TRANSIENT, meaning, _MAY_HAVE_GONE)


def _unsent(code: str, meaning: str, advice: str = _NOT_GONE) -> OwnWord:
    return OwnWord(code, Category.TRANSIENT, meaning, advice)


OUR_WORDS: Final[Mapping[str, OwnWord]] = {
    word.code: word
    for word in (
        _uncertain("timed-out", "Zalo did not answer in time"),
        _uncertain("connection-lost", "the connection ended before Zalo's answer was whole"),
        _uncertain("unreadable-answer", "the answer was not what Zalo's API gives"),
        _uncertain("answer-too-large", "the answer was larger than the gateway reads"),
        _uncertain("server-error", "Zalo, or something before it, answered with an error of its own"),
        _uncertain("redirected", "something answered with a redirect, which is never followed"),
        _uncertain("answer-without-msg-id", "Zalo said success and gave no message id"),
        _unsent("name-not-resolved", "Zalo's host name could not be resolved"),
        _unsent("connection-refused", "no connection to Zalo could be made"),
        _unsent("connect-timed-out", "no connection to Zalo could be made in time"),
        _unsent(
            "tls-failed",
            "the connection to Zalo could not be secured",
            "nothing: it is tried again; the platform team must look at the certificate and at who answers",
        ),
        _unsent("client-closed", "the gateway is stopping"),
        _unsent("rate-limited", "Zalo asked to slow down (HTTP 429)"),
        OwnWord(
            "access-token-unusable",
            CREDENTIALS,
            "the access token cannot be put into a header, and nothing was sent",
            WAITS,
        ),
        OwnWord(
            "text-unusable",
            REQUEST,
            "a value holds half a character (a lone surrogate), and nothing was sent",
            CORRECT_VALUES,
            is_permanent=True,
        ),
    )
}
