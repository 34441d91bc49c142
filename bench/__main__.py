"""`python -m bench` runs every measurement, about two minutes."""

from bench import client, gateway

client.main()
gateway.main()
