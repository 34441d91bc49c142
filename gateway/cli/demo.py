"""`demo`: simulator and gateway together, real HTTP, and what comes of a handful of events."""

import asyncio
import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.json import JSON
from rich.rule import Rule

from gateway.config import Loaded
from gateway.core.message import Entry
from gateway.core.view import EventView
from gateway.storage import open_store

from .messages import print_timeline
from .serve import serving, simulating, uvloop_runner
from .simulated import caller_key, load_simulated
from .terminal import Asking, err, fail, out, pretty, with_config, with_json

_PATIENCE_S: Final = 15.0
_LOOK_EVERY_S: Final = 0.1


class Scene(msgspec.Struct, frozen=True):
    """One event to post, and what must come of it."""

    title: str
    caller: str
    event: dict[str, Any]
    http: int
    status: str | None
    ends: str | None = None
    code: str | None = None
    is_replay: bool = False


def scenes(phones: Mapping[str, str]) -> list[Scene]:
    """The events of the demonstration; `phones` are the simulator's numbers, by what comes of them."""
    paid = _order("evt-1001", "DH-1001", 1_250_000, phones["delivered"])
    return [
        Scene("An order is paid: sent, and delivered to the phone", "checkout", paid, 200, "sent", "delivered"),
        Scene(
            "The same event again: nothing is sent, the same message is answered",
            "checkout",
            paid,
            200,
            "delivered",
            "delivered",
            is_replay=True,
        ),
        Scene(
            "The customer is not on Zalo: refused for good, use another channel",
            "checkout",
            _order("evt-1002", "DH-1002", 320_000, phones["error:-118"]),
            422,
            "failed",
            "failed",
            code="recipient-not-on-zalo",
        ),
        Scene(
            "A shipping state that no customer needs to hear of: skipped on purpose",
            "checkout",
            _shipping("evt-1003", "sorting", phones["delivered"]),
            200,
            "skipped",
            "skipped",
        ),
        Scene(
            "A one-time password: urgent, at any hour, its value shown nowhere",
            "accounts",
            _password("evt-1004", phones["delivered"]),
            200,
            "sent",
            "delivered",
        ),
        Scene(
            "Not a Vietnamese mobile number: refused before anything is stored",
            "checkout",
            _order("evt-1005", "DH-1005", 90_000, "0212345"),
            422,
            None,
            code="invalid-phone",
        ),
    ]


@click.command()
@with_config
@with_json
@click.pass_obj
def demo(asking: Asking, is_json: bool) -> None:
    """Start simulator and gateway on free ports, post sample events, and show what comes of them.

    Nothing is left behind: the store is a temporary one. Exits 1 if anything was not as expected.
    """
    with uvloop_runner() as runner, tempfile.TemporaryDirectory(prefix="zns-gateway-demo-") as folder:
        played = runner.run(_demonstrate(asking, Path(folder), tell=_silently if is_json else _aloud))
    surprises = [surprise for act in played for surprise in act.surprises]
    if is_json:
        click.echo(pretty(played))
        raise click.exceptions.Exit(1 if surprises else 0)
    if surprises:
        for surprise in surprises:
            err.print(surprise, style="bad", markup=False)
        fail("the demonstration did not go as it should", code=1)
    out.print("\n[good]Everything went as it should.[/] Try it yourself: .venv/bin/zns-gateway serve --simulator")


class Act(msgspec.Struct, frozen=True):
    """One scene as it was played: the answer, the message in the end, and what was not as expected."""

    title: str
    event: EventView
    http: int
    replayed: bool
    answer: dict[str, Any]
    message: dict[str, Any] | None
    surprises: list[str]


Tell = Callable[[int, Act], None]


def _silently(_number: int, _act: Act) -> None:
    """Nothing is on the terminal."""


def _aloud(number: int, act: Act) -> None:
    """The act is on the terminal."""
    out.print()
    out.print(Rule(f"[name]{number}. {act.title}[/]", align="left", style="faint"))
    out.print(f"POST /v1/events  {act.event.type} {act.event.id}", style="faint", markup=False)
    told = "  Idempotency-Replayed: true" if act.replayed else ""
    out.print(f"HTTP {act.http}{told}", style="name", markup=False)
    out.print(JSON(json.dumps(act.answer, ensure_ascii=False), indent=2))
    if act.message is not None:
        print_timeline(msgspec.convert(act.message["timeline"], list[Entry]))


async def _demonstrate(asking: Asking, folder: Path, tell: Tell) -> list[Act]:
    played: list[Act] = []
    async with simulating() as (simulated, simulator_url):
        credentials = simulated.credentials()
        loaded = _for_the_demo(load_simulated(asking.config, credentials, simulator_url), folder)
        phones = {outcome: phone for phone, outcome in credentials["phones"].items()}
        if tell is _aloud:
            out.print(f"simulator on {simulator_url}, store in a temporary folder", style="faint", markup=False)
        store = await open_store(loaded.settings.store.url, loaded.settings.sealing_keys(), is_simulated=True)
        try:
            async with serving(loaded, store, log_level="error", simulated=simulated) as url:
                if tell is _aloud:
                    out.print(f"listening on {url}", style="faint")
                for number, scene in enumerate(scenes(phones), 1):
                    played.append(await _play(number, scene, url))
                    tell(number, played[-1])
        finally:
            await store.aclose()
    return played


def _for_the_demo(loaded: Loaded, folder: Path) -> Loaded:
    settings = loaded.settings
    server = msgspec.structs.replace(settings.server, host="127.0.0.1", port=0, public_port=0)
    store = msgspec.structs.replace(settings.store, url=f"sqlite:///{folder / 'demo.db'}")
    return msgspec.structs.replace(loaded, settings=msgspec.structs.replace(settings, server=server, store=store))


async def _play(number: int, scene: Scene, url: str) -> Act:
    """The scene was played, to its end if it has one."""
    key = caller_key(scene.caller)
    status, headers, answer = await _call(f"{url}/v1/events", key, scene.event)
    replayed = headers.get("Idempotency-Replayed") == "true"
    message = answer.get("message", answer)
    surprises = _differences(scene, status, replayed, answer, message)
    final: dict[str, Any] | None = None
    if scene.ends is not None:
        final = await _final(f"{url}/v1/messages/{message.get('tracking_id')}", key, scene.ends)
        if final["status"] != scene.ends:
            surprises.append(f"ended as {final['status']}, not as {scene.ends}")
    told = [f"scene {number}: {surprise}" for surprise in surprises]
    event = EventView(scene.event["id"], scene.event["source"], scene.event["type"])
    return Act(scene.title, event, status, replayed, answer, final, told)


def _differences(
    scene: Scene, status: int, replayed: bool, answer: dict[str, Any], message: dict[str, Any]
) -> list[str]:
    found = []
    if status != scene.http:
        found.append(f"HTTP {status}, not {scene.http}")
    if scene.status is not None and message.get("status") != scene.status:
        found.append(f"status {message.get('status')}, not {scene.status}")
    if answer.get("code") != scene.code:
        found.append(f"code {answer.get('code')}, not {scene.code}")
    if replayed != scene.is_replay:
        found.append("replayed" if replayed else "not replayed")
    return found


async def _final(url: str, key: str, wanted: str) -> dict[str, Any]:
    """The message once it has the wanted status, or as it is when patience ends."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _PATIENCE_S
    while True:
        _, _, message = await _call(url, key)
        if message.get("status") == wanted or loop.time() > end:
            return message
        await asyncio.sleep(_LOOK_EVERY_S)


async def _call(
    url: str, key: str, event: dict[str, Any] | None = None
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and body of one call over real HTTP."""
    body = None if event is None else json.dumps(event).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - our own URL

    def ask() -> tuple[int, dict[str, str], dict[str, Any]]:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - as above
                return response.status, _titled(response.headers), json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, _titled(error.headers), json.load(error)

    return await asyncio.to_thread(ask)


def _titled(headers: Any) -> dict[str, str]:
    return {name.title(): value for name, value in headers.items()}


def _order(event_id: str, order_id: str, total: int, phone: str) -> dict[str, Any]:
    return {
        "id": event_id,
        "source": "/checkout",
        "type": "order.paid",
        "time": "2026-11-23T08:00:00Z",
        "data": {
            "order_id": order_id,
            "total": total,
            "payment_method": "card",
            "customer": {"name": "Nguyễn Văn An", "phone": phone},
        },
    }


def _shipping(event_id: str, state: str, phone: str) -> dict[str, Any]:
    return {
        "id": event_id,
        "source": "/logistics",
        "type": "shipping.status",
        "data": {"order_id": "DH-1001", "status": state, "recipient": {"name": "Nguyễn Văn An", "phone": phone}},
    }


def _password(event_id: str, phone: str) -> dict[str, Any]:
    return {"id": event_id, "source": "/accounts", "type": "auth.otp", "data": {"otp": "482913", "phone": phone}}
