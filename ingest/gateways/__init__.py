"""
Open sources of the country, polled and published as MQTT messages; one module for each source.

- `memory`: what a job remembers over a restart
- `web`: the HTTP door, within the pace that a source allows
- `registry`: what a gateway is, how it publishes what is new, and what it counts
- `schedule`: runs the jobs, again and again
- `ndw`: traffic minutes and the site table
- `luchtmeetnet`: hourly figures of the official air stations
- `samenmeten`: hourly figures of citizens' sensors
- `sensor_community`: five-minute snapshots of citizens' sensors

The messages arrive at `ingest.mqtt.receiver` like those of any sensor.
"""
