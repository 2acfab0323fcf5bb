"""
Payload formats that need code; all others are mapping files in `ingest/formats/mappings/`.

- `stadspuls`: the hub's own JSON
- `ndw`: traffic minutes of NDW and the other publishers of DATEX II, which `datex2.toml` names
- `luchtmeetnet`: hourly air figures, from the API and from files

`ingest.formats.registry` loads them, `ingest.formats.decode` calls them.
"""
