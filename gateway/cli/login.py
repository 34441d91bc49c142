"""`token login`: a grant by consent, whose callback the running gateway takes, or which is pasted here."""

import asyncio
import hmac
import os
import select
import sys
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click
import msgspec

from gateway.core.errors import CannotStart, Unavailable, clip
from gateway.core.login import LIFE, Login, Unreadable, read_pasted
from gateway.core.mapping_faults import nearest_to

from .completion import accounts
from .tables import clock
from .terminal import Asking, Unheard, err, fail, now, out, pretty, with_config, with_json

if TYPE_CHECKING:
    from gateway.config import Loaded
    from gateway.core.login_end import Ended, Granted
    from gateway.logins import Begun, Logins

_LOOK_EVERY_S: Final = 0.25
_MARGIN: Final = timedelta(seconds=5)  # before its end a login still says whether somebody has used it
_TAKEN_FOR: Final = timedelta(seconds=60)  # so long, at most, a gateway needs for a callback that it has taken
_MOST_PASTED: Final = 64 * 1024


@click.command("login")
@with_config
@with_json
@click.argument("account", shell_complete=accounts)
@click.option(
    "--redirect-uri",
    metavar="URL",
    help="Where Zalo sends the browser back to; without it server.public_url + /oauth/zalo/callback.",
)
@click.option("--replace", is_flag=True, help="Also while the account has a working grant, whose chain this ends.")
@click.option("--paste", is_flag=True, help="Take the address on which the browser lands from standard input.")
@click.option(
    "--simulator", metavar="URL", help="Beside `serve --simulator`: the simulator's URL, as it printed it."
)
@click.pass_obj
def login(
    asking: Asking,
    account: str,
    redirect_uri: str | None,
    simulator: str | None,
    *,
    replace: bool,
    paste: bool,
    is_json: bool,
) -> None:
    """Get a grant by consent: open a link as an administrator of the Official Account, and agree.

    The running gateway takes the callback. Or paste here the address of the page on which the browser lands; the bare
    code will do.
    """
    loaded = _load(asking, simulator)
    if account not in loaded.settings.accounts:
        raise CannotStart(f"there is no account {clip(account)}; {nearest_to(account, loaded.settings.accounts)}")
    redirect_uri = _redirect_uri(loaded, redirect_uri)
    talk = _Talk(is_listening=paste or sys.stdin.isatty(), must_be_pasted=paste, is_json=is_json)
    granted = asyncio.run(_log_in(asking, loaded, account, redirect_uri, talk, may_replace=replace))
    if is_json:
        told = {"account": account, "generation": granted.generation, "access_expires_at": granted.expires_at}
        click.echo(pretty(told))
    else:
        told_of = f"account {account}, generation {granted.generation}, works until {clock(granted.expires_at)}"
        out.print(f"granted: {told_of}", style="good", markup=False)


def _load(asking: Asking, simulator: str | None) -> "Loaded":
    """The configuration with the Zalo that this store belongs to; raises CannotStart."""
    from gateway.config.settings import is_here  # as in terminal.py: not for a completion
    from gateway.storage import kind_of

    if simulator is not None:
        from gateway.simulator import Simulator

        from .simulated import load_simulated

        if not is_here(simulator):
            raise CannotStart("--simulator takes the URL of a simulator on this machine, as `serve` printed it")
        return load_simulated(asking.config, Simulator().credentials(), simulator)
    loaded = asking.load_for_store()
    if kind_of(loaded.settings.store.url) == "simulated" and not loaded.settings.zalo.is_simulated:
        raise CannotStart(
            f"the store {loaded.settings.store.url} was made by `serve --simulator`: say --simulator and the URL that "
            "it printed after `simulator on`"
        )
    return loaded


def _redirect_uri(loaded: "Loaded", given: str | None) -> str:
    """Where Zalo sends the browser back to; raises CannotStart with what to configure."""
    if given is not None:
        try:
            parts = urlsplit(given)
            is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.fragment
        except ValueError:
            is_good = False
        if not (is_good and given.isascii() and given.isprintable() and " " not in given):
            raise CannotStart("--redirect-uri takes a URL such as https://zns.example.com/oauth/zalo/callback")
        return given
    server = loaded.settings.server
    port = server.public_port or server.port
    if url := server.callback_url():
        return url
    if loaded.settings.zalo.is_simulated and port:
        return f"http://127.0.0.1:{port}/oauth/zalo/callback"
    raise CannotStart(
        "nobody knows where Zalo is to send the browser back to: set server.public_url in the configuration, and register "
        "it with /oauth/zalo/callback behind it at Zalo; or say --redirect-uri URL, and paste where the browser lands"
    )


async def _log_in(
    asking: Asking, loaded: "Loaded", account: str, redirect_uri: str, talk: "_Talk", *, may_replace: bool
) -> "Granted":
    """The account has a new grant; the command ends here if it has not."""
    from gateway.core.login_end import Granted, StillWorking
    from gateway.wiring import logins_of, zalo_of

    settings = loaded.settings
    store = await asking.open_store(loaded)
    zalo = zalo_of(settings)
    try:
        logins = logins_of(settings, store, zalo, Unheard())
        begun = await logins.begin(account, redirect_uri, may_replace=may_replace)
        if isinstance(begun, StillWorking):
            raise CannotStart(
                f"account {account} has a working grant (generation {begun.generation}); "
                "a new consent ends its chain: say --replace if that is meant"
            )
        try:
            talk.invite(begun, settings.accounts[account].oa_id)
            is_fixed = bool(settings.accounts[account].code_verifier)
            ended = await _wait(logins, begun.login, talk, is_state_known=is_fixed)
            if ended is None:
                ended_unused = await logins.withdraw(begun.login)
                fail(_TOO_LATE if ended_unused else _UNTOLD)
        finally:
            await logins.aclose()  # also after Ctrl-C: what Zalo is about to give exists once
            with suppress(Unavailable):
                await logins.withdraw(begun.login)
    finally:
        await zalo.aclose()
        await store.aclose()
    if not isinstance(ended, Granted):
        fail(_told(ended, may_replace=may_replace))
    return ended


_TOO_LATE: Final = "nobody came back from Zalo in time: the link is withdrawn; run this again for a new one"
_UNTOLD: Final = (
    "the link was used, or a newer one was made for the account, and nobody has said what came of it: "
    "`zns-gateway token status` says whether there is a new grant; if not, run this again"
)


def _told(ended: "Ended", *, may_replace: bool) -> str:
    from gateway.http.consent_pages import page_of

    page = page_of(ended)
    told = f"{page.english.title}: {page.english.happened}"
    if page.command is None:
        return told
    # The page that a browser shows does not know how this command was called.
    option = " --replace" if may_replace and "--replace" not in page.command else ""
    return f"{told}\nnext: {page.command}{option}"


async def _wait(logins: "Logins", login: Login, talk: "_Talk", *, is_state_known: bool) -> "Ended | None":
    """How the login ended, in the running gateway or by what was pasted here; None if nobody said so in time."""
    from gateway.core.login_end import NoSuchLogin, NotNow

    end = login.expires_at - _MARGIN
    is_taken = False
    while now() < end:
        with suppress(Unavailable):
            is_over = not await logins.is_waiting(login)
            if is_over and (told := await logins.end_of(login)) is not None:
                return told
            if is_over and not is_taken:
                is_taken, end = True, min(end, now() + _TAKEN_FOR)
        for line in talk.pasted():
            callback = _callback_in(line, login, talk, is_state_known=is_state_known)
            if callback is None:
                continue
            ended = await logins.finish(callback)
            if isinstance(ended, NoSuchLogin):
                talk.say("the gateway has taken this callback already; waiting for what becomes of it")
            elif isinstance(ended, NotNow) and ended.account is None:
                talk.say("the store cannot be reached just now; paste it again in a while")
            else:
                return ended
        if talk.is_silent and not is_taken:
            raise CannotStart(
                "no address or code was pasted that belongs to this link, which is withdrawn; run this again"
            )
        await asyncio.sleep(_LOOK_EVERY_S)
    return None


def _callback_in(line: str, login: Login, talk: "_Talk", *, is_state_known: bool) -> Any:
    """The callback in what was pasted, with the state of this login; None, and the person is told, if there is none.

    `is_state_known`: the verifier is fixed, so that the link may be the one of Zalo's console, which has no state.
    """
    callback = read_pasted(line)
    if isinstance(callback, Unreadable):
        talk.say(
            f"this is not where Zalo sends a browser: {callback.parameter} is {callback.fault}; paste it whole"
        )
        return None
    if callback.state is None:
        if is_state_known or callback.code == line.strip():
            return msgspec.structs.replace(callback, state=login.state)
        talk.say("this address has no state, so it does not come from the link above; open that one")
        return None
    if not hmac.compare_digest(callback.state, login.state):
        talk.say("this address belongs to another link; open the one above")
        return None
    return callback


class _Talk:
    """What is said to the person, and what the person pastes."""

    def __init__(self, *, is_listening: bool, must_be_pasted: bool, is_json: bool) -> None:
        self._is_listening = is_listening
        self._must_be_pasted = must_be_pasted
        self._console = err if is_json else out
        self._heard = b""

    @property
    def is_silent(self) -> bool:
        """True once nothing more can be pasted, although it was said that it would be."""
        return self._must_be_pasted and not self._is_listening

    def say(self, text: str) -> None:
        """The person is told."""
        self._console.print(text, markup=False)

    def invite(self, begun: "Begun", oa_id: str) -> None:
        """The person knows the link, and what to do."""
        whom = f" of Official Account {oa_id}" if oa_id else ""
        self.say(f"Open this page in a browser, as an administrator{whom}, and agree:\n\n{begun.url}\n")
        minutes = int(LIFE.total_seconds()) // 60
        until = clock(begun.login.expires_at)
        self.say(f"Waiting until {until} ({minutes} minutes) for the callback at {begun.login.redirect_uri}.")
        if self._is_listening:
            self.say(
                "If no gateway answers there, paste here the address on which the browser lands, and press Enter."
            )
        else:
            self.say("A running gateway has to answer there; where none does, say --paste.")
        self.say("Ctrl-C withdraws the link.")
        self._console.file.flush()

    def pasted(self) -> list[str]:
        """The lines that were pasted since; does not wait."""
        descriptor = sys.stdin.fileno() if self._is_listening else -1
        while self._is_listening and select.select([descriptor], [], [], 0)[0]:
            more = os.read(descriptor, 4096)
            self._heard += more
            self._is_listening = bool(more) and len(self._heard) <= _MOST_PASTED
        whole, newline, rest = self._heard.rpartition(b"\n")
        if not self._is_listening:
            whole, newline, rest = self._heard, b"\n", b""
        self._heard = rest
        lines = whole.decode("utf-8", "replace").splitlines() if newline else []
        return [line for line in lines if line.strip()]
