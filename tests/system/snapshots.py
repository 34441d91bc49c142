"""Snapshots that a test may change, and a Zalo whose templates are others."""

import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.system.commands import edited
from tests.system.stage import ROOT, Process, Stage

USED = {path.stem for path in (ROOT / "config" / "templates").glob("*.json")}
SHIPPING = "310002"


def with_copies(folder: Path, simulator: Process) -> Stage:
    """A stage with copies of the shipped files, and without a grant."""
    stage = Stage(folder, simulator)
    for name in ("mappings", "samples", "templates"):
        (folder / name).unlink()
        shutil.copytree(ROOT / "config" / name, folder / name)
    return stage


def pull_all(stage: Stage) -> None:
    """The snapshots are what Zalo says."""
    for template_id in USED:
        file_of(stage, template_id).write_text(json.dumps(live(stage, template_id)))


def file_of(stage: Stage, template_id: str) -> Path:
    return stage.folder / "templates" / f"{template_id}.json"


def files(stage: Stage) -> dict[str, tuple[bytes, int]]:
    """Every file in templates/, hidden ones too: its bytes, and when they were written."""
    folder = stage.folder / "templates"
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def live(stage: Stage, template_id: str) -> Any:
    grant = stage.simulator.ask("GET", "/__sim/credentials").body["grant"]
    path = f"/template/info/v2?template_id={template_id}"
    return stage.simulator.ask("GET", path, access_token=grant["access_token"]).body["data"]


def rewritten(stage: Stage, template_id: str, **changes: Any) -> None:
    """The snapshot says something else than Zalo."""
    file = file_of(stage, template_id)
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@contextmanager
def announced(stage: Stage, event: dict[str, Any], undo: dict[str, Any]) -> Iterator[None]:
    """Zalo's own template is another, for as long as the context lasts."""
    assert stage.simulator.ask("POST", "/__sim/events", event).status == 200
    yield
    assert stage.simulator.ask("POST", "/__sim/events", undo).status == 200


@contextmanager
def zalo_that_says(stage: Stage, bodies: Mapping[str, bytes]) -> Iterator[list[str]]:
    """Another Zalo, which has these words for each template; it keeps the ids that it was asked for."""
    asked: list[str] = []

    class Zalo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            template_id = self.path.rpartition("=")[2]
            asked.append(template_id)
            self.send_response(200)
            self.send_header("Content-Length", str(len(bodies[template_id])))
            self.end_headers()
            self.wfile.write(bodies[template_id])

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Zalo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        edited(
            stage.config,
            (f'api_url = "{stage.simulator.url}"', f'api_url = "http://127.0.0.1:{server.server_port}"'),
        )
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()
