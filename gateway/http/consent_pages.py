"""What a person is told at the end of a consent, in English and in Vietnamese: one page for each way in which it can end."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.core.errors import clip
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

_RETRY_AFTER_S: Final = 5


class Words(msgspec.Struct, frozen=True):
    """What happened, and what to do next."""

    title: str
    happened: str
    next_step: str


class Page(msgspec.Struct, frozen=True):
    """One page, before it is HTML; `command` is what to type next."""

    status: int
    english: Words
    vietnamese: Words
    command: str | None = None
    retry_after_s: int | None = None


def page_of(ended: Ended) -> Page:
    """The page that tells of this end."""
    return _PAGES[type(ended)](ended)


def _login(account: str | None, *, is_replacing: bool = False) -> str:
    return f"zns-gateway token login {account or 'ACCOUNT'}{' --replace' if is_replacing else ''}"


def _granted(it: Granted) -> Page:
    until = f"{it.expires_at:%Y-%m-%d %H:%M} UTC"
    return Page(
        200,
        Words(
            "Done: the gateway has its grant",
            f"Account {it.account} has a new grant, generation {it.generation}. Its access token works until {until}, "
            "and the gateway renews it by itself.",
            "Nothing is left to do: close this page. Messages that were waiting go out now.",
        ),
        Words(
            "Xong: gateway đã được cấp quyền",
            f"Tài khoản {it.account} có quyền truy cập mới (thế hệ {it.generation}). Access token dùng được đến "
            f"{until} và gateway tự gia hạn.",
            "Không cần làm gì thêm, hãy đóng trang này. Các tin nhắn đang chờ sẽ được gửi ngay.",
        ),
    )


def _no_such_login(it: NoSuchLogin) -> Page:
    if it.was_used:
        english = "This callback was used before, and each works once. Nothing has changed by opening it again."
        vietnamese = (
            "Liên kết trả về này đã được dùng rồi; mỗi liên kết chỉ dùng một lần. Mở lại không thay đổi gì."
        )
    else:
        english = (
            "No login waits for this callback: it was used before, its 30 minutes are over, a newer link was made "
            "for the account, or it does not come from this gateway. Nothing has changed."
        )
        vietnamese = (
            "Không có lần đăng nhập nào đang chờ liên kết này: đã được dùng, quá 30 phút, đã có liên kết mới hơn, "
            "hoặc không do gateway này tạo ra. Không có gì thay đổi."
        )
    return Page(
        410,
        Words(
            "This link does not work any more",
            english,
            "If an earlier page said that it is done, all is well (`zns-gateway token status` says so too). "
            "Otherwise ask for a new link:",
        ),
        Words(
            "Liên kết không còn hiệu lực",
            vietnamese,
            "Nếu trang trước đã báo xong thì mọi việc đều ổn (kiểm tra bằng `zns-gateway token status`). "
            "Nếu chưa, hãy tạo liên kết mới:",
        ),
        _login(None),
    )


def _other_account(it: OtherAccount) -> Page:
    return Page(
        409,
        Words(
            "That is another Official Account",
            f"Account {it.account} is configured for the Official Account {it.configured}, but {clip(it.came)} has "
            "consented. Its code was not used, and nothing has changed here.",
            "Ask for a new link, and choose the right Official Account on Zalo's page; or mend oa_id of the account "
            "in the configuration.",
        ),
        Words(
            "Đây là một Official Account khác",
            f"Tài khoản {it.account} được cấu hình cho Official Account {it.configured}, nhưng {clip(it.came)} vừa "
            "cấp quyền. Mã không được dùng và ở đây không có gì thay đổi.",
            "Hãy tạo liên kết mới và chọn đúng Official Account trên trang của Zalo, hoặc sửa oa_id của tài khoản "
            "trong cấu hình.",
        ),
        _login(it.account),
    )


def _denied(it: Denied) -> Page:
    said = f"{clip(it.error)} {clip(it.words, 200)}".strip()
    return Page(
        403,
        Words(
            "Consent was not given",
            f"Zalo came back with an error instead of a code for account {it.account}. It says: {said}",
            "Nothing has changed. An administrator of the Official Account has to agree; ask for a new link:",
        ),
        Words(
            "Chưa được cấp quyền",
            f"Zalo trả về lỗi thay vì mã cho tài khoản {it.account}. Zalo báo: {said}",
            "Không có gì thay đổi. Quản trị viên của Official Account phải đồng ý; hãy tạo liên kết mới:",
        ),
        _login(it.account),
    )


def _refused(it: ExchangeRefused) -> Page:
    number = "" if it.number is None else f" {it.number}"
    said = clip(it.detail, 200)
    return Page(
        422,
        Words(
            f"Zalo refused{number}",
            f"Zalo gave no token to account {it.account}. {it.meaning.english} (Zalo says: {said})",
            "Mend that, and ask for a new link:",
        ),
        Words(
            f"Zalo từ chối{number}",
            f"Zalo không cấp token cho tài khoản {it.account}. {it.meaning.vietnamese} (Zalo báo: {said})",
            "Hãy sửa rồi tạo liên kết mới:",
        ),
        _login(it.account),
    )


def _lost(it: ExchangeLost) -> Page:
    return Page(
        503,
        Words(
            "Zalo's answer was lost",
            f"The code for account {it.account} was handed to Zalo, and no answer that makes sense came back. A code "
            "works once, so this one is spent.",
            "Do not reload this page: ask for a new link, and consent once more.",
        ),
        Words(
            "Mất câu trả lời của Zalo",
            f"Mã của tài khoản {it.account} đã được gửi cho Zalo nhưng không nhận được câu trả lời hợp lệ. Mỗi mã chỉ "
            "dùng một lần nên mã này đã mất.",
            "Đừng tải lại trang này: hãy tạo liên kết mới và cấp quyền lần nữa.",
        ),
        _login(it.account),
    )


def _still_working(it: StillWorking) -> Page:
    return Page(
        409,
        Words(
            "The account has a working grant",
            f"Account {it.account} has a working grant (generation {it.generation}), and the link was not made to "
            "replace it. The code was not used. Zalo may end the old grant because of this consent.",
            "If the grant is to be replaced, ask for a link that says so:",
        ),
        Words(
            "Tài khoản đang có quyền truy cập hoạt động",
            f"Tài khoản {it.account} đang có quyền truy cập hoạt động (thế hệ {it.generation}) và liên kết này không "
            "được tạo để thay thế. Mã không được dùng. Zalo có thể hủy quyền cũ vì lần cấp quyền này.",
            "Nếu muốn thay thế, hãy tạo liên kết có tùy chọn đó:",
        ),
        _login(it.account, is_replacing=True),
    )


def _not_now(it: NotNow) -> Page:
    reasons = {
        "zalo": (
            "Zalo cannot be reached at the moment, so the code was not used.",
            "Hiện không kết nối được với Zalo nên mã chưa được dùng.",
        ),
        "saving": (
            "Zalo gave a grant, and the gateway could not store it: it is lost.",
            "Zalo đã cấp quyền nhưng gateway không lưu được nên quyền này đã mất.",
        ),
    }
    english, vietnamese = reasons.get(
        it.lacking,
        (
            "The gateway's store cannot be reached at the moment, so the code was not used.",
            "Hiện không truy cập được kho dữ liệu của gateway nên mã chưa được dùng.",
        ),
    )
    if it.account is not None or it.lacking != "store":
        next_english, next_vietnamese = "Ask for a new link in a while:", "Lát nữa hãy tạo liên kết mới:"
    else:
        next_english = "Reload this page in a while; if the link has ended by then, ask for a new one:"
        next_vietnamese = "Lát nữa hãy tải lại trang này; nếu liên kết đã hết hiệu lực, hãy tạo liên kết mới:"
    return Page(
        503,
        Words("It cannot be done just now", english, next_english),
        Words("Hiện chưa thực hiện được", vietnamese, next_vietnamese),
        _login(it.account),
        retry_after_s=_RETRY_AFTER_S,
    )


_PAGES: Final[dict[type[Any], Callable[[Any], Page]]] = {
    Granted: _granted,
    NoSuchLogin: _no_such_login,
    OtherAccount: _other_account,
    Denied: _denied,
    ExchangeRefused: _refused,
    ExchangeLost: _lost,
    StillWorking: _still_working,
    NotNow: _not_now,
}
_FAULTS: Final = {
    "missing": "thiếu",
    "repeated": "bị lặp lại",
    "unreadable": "không đọc được",
    "too long": "quá dài",
}


def page_of_unreadable(it: Unreadable) -> Page:
    """The page that tells of a callback that Zalo does not send."""
    english = (
        f"The address of this page is not one that Zalo makes: {it.parameter} is {it.fault}. Nothing has changed."
    )
    vietnamese = f"Địa chỉ của trang này không phải do Zalo tạo ra: {it.parameter} {_FAULTS[it.fault]}. Không có gì thay đổi."
    next_english = (
        "Open the link that `token login` prints, and let Zalo send you back here; or ask for a new link:"
    )
    next_vietnamese = "Hãy mở liên kết mà `token login` in ra và để Zalo đưa bạn về đây, hoặc tạo liên kết mới:"
    if it.parameter == "state" and it.fault == "missing":
        next_english = "If the link came from Zalo's console, paste this page's address into a terminal, where this waits for it:"
        next_vietnamese = "Nếu liên kết lấy từ trang quản trị của Zalo, hãy dán địa chỉ của trang này vào cửa sổ dòng lệnh đang chờ:"
        return Page(
            400,
            Words("This is not a callback of ours", english, next_english),
            Words("Đây không phải liên kết trả về hợp lệ", vietnamese, next_vietnamese),
            f"{_login(None)} --paste",
        )
    return Page(
        400,
        Words("This is not a callback of ours", english, next_english),
        Words("Đây không phải liên kết trả về hợp lệ", vietnamese, next_vietnamese),
        _login(None),
    )
