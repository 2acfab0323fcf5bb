"""
The servers of an embedded hub: processes of their own, which outlive a hub that was killed.

`process` is what they share, `datadir` the directory they live in. `postgres` runs the database, with `pgaccess` where
the hub runs as root. `broker` runs the MQTT broker, `brokerd` is its process and its door, and `packets` what may come
in. `hub.run.embedded` uses them.
"""
