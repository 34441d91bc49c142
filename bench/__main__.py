"""`python -m bench` runs every measurement, about four minutes."""

from bench import batches, client, gateway, webhooks

client.main()
gateway.main()
batches.main()
webhooks.main()
