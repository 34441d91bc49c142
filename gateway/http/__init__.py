"""Our own door: HTTP in, flows called, one shape out.

Only this room knows HTTP statuses; `problems` holds the one table from errors to them. Bodies are read raw and
strictly, answers are encoded once, and no handler lets an exception become a 500. Litestar is spoken here.
"""
