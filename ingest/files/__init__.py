"""
What people hand in as files.

- `recordings`: recorded files of every source as MQTT messages
- `names`: what the names of columns and members mostly mean
- `draft`: a first mapping file from a recorded file
- `site_table`: NDW's table of measurement sites
- `catalogue`: the catalogue of sensors

`stadspuls publish` sends the messages through `ingest.mqtt.sender`; `aggregates.store` stores the catalogue.
"""
