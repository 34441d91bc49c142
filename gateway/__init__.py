"""The gateway through which a company's services notify their customers on Zalo.

Rooms, from the top: `cli` starts things, `wiring` builds them; `http` and `console` are driven from outside;
`zalo`, `hooks`, `storage` and `telemetry` are driven by us; the flow files (`intake`, `dispatch`, `tokens`,
`receipts`) are the story; `ports` is what they ask for; `core` is pure. Doors open downwards only.
"""

__version__ = "0.1.0"
