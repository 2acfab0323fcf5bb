"""
What people hand in as files.

- `recordings`: recorded files of every source, split into parts that stay together
- `cutting`: those parts as MQTT messages, as few as possible or in the order of their stamps
- `site_table`: NDW's table of measurement sites
- `catalogue`: the catalogue of sensors

`stadspuls publish` sends the messages through `ingest.mqtt.sender`; `aggregates.store` stores the catalogue.
"""
