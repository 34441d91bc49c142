"""Values in, values out: no input or output, no clock, no randomness, no logging, no async.

The time is an argument called `now` (aware, UTC). Nothing here imports from the rest of the gateway.
"""
