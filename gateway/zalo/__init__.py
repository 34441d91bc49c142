"""Everything that is true only of Zalo.

`client` speaks httpx over `gateway.transport` and is the room's door; `wire` reads and writes the bodies of
messages and questions, `oauth` reads what the token endpoint says, `reading` what single values say; `codes` is the
table of Zalo's numbers; `webhook` checks and reads what Zalo posts to us.

The room's rules:

- What Zalo may answer, and what the network may do, is a value. No flow catches an exception of this room.
- A request is repeated by nobody here. Whether it may be repeated is said by the Outcome alone, and an Outcome
  is `Deferred` only when Zalo said no, or when not one byte was handed to a socket.
- Reading never raises, whatever the bytes. What cannot be read is uncertain.
- Nothing told to a person or a log holds a token, a phone number or a value that was sent.
- A number or a rule of Zalo's cites `docs/zalo.md`.
"""
