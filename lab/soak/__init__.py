"""
The soak: a hub with little history and with much, under the same load, to see what grows with what is stored.

Read `history` (the readings), `samples` (what is measured, and when), `load` (everything that goes on at once), then
`soak`, which `lab.bench.registry` runs as a bench. `publish` is another one with a year of history: how fast figures
are made that a municipality publishes.
"""
