"""The gateway through which a company's services notify their customers on Zalo.

Rooms, from the top: `cli` starts things, `wiring` builds them; `http` and `simulator` are driven from outside;
`zalo`, `endpoints`, `storage` and `telemetry` are driven by us; the files at this level are the story (`docs/architecture.md`
tells it in its order); `ports` is what they ask for; `core` is pure. Doors open downwards only.
"""

__version__ = "0.1.0"
