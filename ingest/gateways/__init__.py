"""Open-data gateways, one module each."""
