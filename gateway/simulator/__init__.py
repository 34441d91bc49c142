"""A Zalo that runs here: its OAuth, sends, templates and webhooks, with faults on demand.

The room's rules: nothing of the rest of the gateway is imported, so that no mistake can be shared; all
state is in memory and bounded; whatever comes in, the answer is never a 5xx unless a fault asks for one.

`Zalo` (in `zalo.py`) is the whole state without a socket; `Simulator` (in `app.py`) puts it behind HTTP.
`docs/simulator.md` is its manual.
"""

from gateway.simulator.app import Simulator

__all__ = ["Simulator"]
