"""The gateway as it is usually written: a Litestar handler that posts with `httpx.AsyncClient`; keeps no records."""

import os
import socket
from typing import Any

import httpx
import uvicorn
from litestar import Litestar, post

URL = f"http://127.0.0.1:{os.environ.get('FAKE_PORT', '9100')}/message/template"
client = httpx.AsyncClient()


@post("/v1/events", status_code=200)
async def send(data: dict[str, Any]) -> dict[str, Any]:
    order = data["data"]
    body = {
        "phone": "84" + order["customer"]["phone"][1:],
        "template_id": "7895417a7d3f9461cd2e",
        "template_data": {
            "customer_name": order["customer"]["name"],
            "order_id": order["order_id"],
            "total": f"{order['total']:,}đ".replace(",", "."),
            "paid_at": data["time"],
        },
        "tracking_id": data["id"],
    }
    answer = await client.post(URL, json=body, headers={"access_token": "bench-access"})
    said = answer.json()
    return {"tracking_id": data["id"], "status": "sent", "msg_id": said["data"]["msg_id"]}


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        Litestar([send], openapi_config=None, logging_config=None),
        loop="uvloop",
        access_log=False,
        log_level="error",
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
