"""What must hold whatever comes in: hostile requests against real processes, and one judge of every answer.

`python -m tests.fuzz --requests 100000 --seed 1` is the long form; tests/system/test_fuzz.py is the short one.
"""
