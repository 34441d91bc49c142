"""`python -m gateway` is `zns-gateway`."""

from .cli import main

main()
