"""
Real servers and services on this machine that can be killed: for tests, benches and the chaos run.

`broker`, `kafka` and `database` are the servers, `service` is one process of the distributed hub, and `chain` all of
them together. A `relay` is a piece of network between two of them that can be cut.
"""
