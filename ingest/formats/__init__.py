"""Payloads to readings: what needs code has a module, what does not a mapping file in `mappings/`."""
