"""`python -m bench` runs every measurement, about three minutes."""

from bench import batches, client, gateway

client.main()
gateway.main()
batches.main()
