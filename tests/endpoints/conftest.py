"""What the tests of this room share."""

from tests.loops import run as run
