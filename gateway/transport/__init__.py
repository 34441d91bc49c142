"""Carries one HTTP request to one place, and knows exactly whether any of it left us (`docs/adr/0003`).

`addresses` finds where a name lives, `connection` is one socket, `connections` the pool that keeps them; `exchange`
puts them under httpx's API and is the room's door. The clients of `zalo` and `endpoints` are built on it.

The room's rules:

- A request is written at most once. Nothing is repeated, followed, unpacked or taken from the environment here.
- An answer that is not whole is no answer: why there is none is a value, `Unsent` or `Loss`, and the two never mix.
- What the bytes mean is not known here.
"""
