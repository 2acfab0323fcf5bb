"""
Payload formats that need code; all others are mapping files in `ingest/formats/mappings/`.

- `stadspuls`: the hub's own JSON
- `ndw_layouts`: what the indexes of an NDW site mean without a site table
- `ndw`: the country's traffic minutes
- `luchtmeetnet`: hourly air figures, from the API and from files
- `telraam`: hourly street counts
- `dexter`: NDW's hourly history

`ingest.formats.registry` loads them, `ingest.formats.decode` calls them.
"""
