"""
What people hand in as files.

- `sections`: where a recorded file may be cut
- `recordings`: recorded files of every source as MQTT messages
- `sample`: the values of a file by the pointers to them, and what names of columns and members mostly mean
- `draft`: a first mapping file from a sample
- `discovery`: a mapping file from what devices announced
- `site_table`: NDW's table of measurement sites
- `catalogue`: the catalogue of sensors

`stadspuls publish` sends the messages through `ingest.mqtt.sender`; `aggregates.store` stores the catalogue.
"""
