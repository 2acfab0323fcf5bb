"""
The servers of an embedded hub: processes of their own, which outlive a hub that was killed.

`process` is what they share, and the directory they live in. `postgres` runs the database, with `pgaccess` where
the hub runs as root. `broker` runs the MQTT broker, `brokerd` is its process and its door, `packets` what may come in
and how much of it waits for the hub. `hub.run.embedded` uses them.
"""
