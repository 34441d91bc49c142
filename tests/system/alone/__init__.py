"""What tells how long others wait: `make test` runs nothing beside it."""
