"""Where callers are told: each has one URL of its own, and nothing else is ever called.

`client` posts one callback over `gateway.transport` and is the room's door; how it is signed is in `core/signing`.

The room's rules:

- What an endpoint may answer, and what the network may do, is a value. No flow catches an exception of this room.
- A callback is posted once by each call; when it is tried again is decided in `core/callback`.
- An answer is its status and its Retry-After. Its body is read, up to a limit, and forgotten.
- A secret is in no value that leaves this room, and in no text.
"""
