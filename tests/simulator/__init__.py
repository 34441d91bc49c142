"""The simulator: its parts as plain values, and the whole of it over real sockets."""
