"""
Open sources, polled and published as MQTT messages; most are a definition in `sources`, a file of TOML.

- `memory`: what a job remembers over a restart
- `web`: the HTTP door, within the pace that a source allows
- `turn`: what a gateway's job is, how it publishes what is new, and what it counts
- `definition`: what a definition may hold, and which stretches of time a source is asked for
- `poll`: polls a source by its definition
- `ndw`: traffic minutes and the site table, which need code
- `schedule`: which gateways there are, and running them, again and again

The messages arrive at `ingest.mqtt.receiver` like those of any sensor.
"""
