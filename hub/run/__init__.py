"""
What runs: the hub as one program, and each service of the distributed one. `hub.cli` starts them.

Read `embedded` first: all of a hub in one program. `distributed` has the same parts as services. `parts`
is how a part starts and stops; `upkeep` is what is due again and again, `notifying` makes a notifier out of the
settings. `gateways` brings open data. Servers are in `hub.servers`, HTTP in `hub.web`.
"""
