"""
The chaos run: everything of a distributed hub is killed, frozen and cut off while numbered readings are published.

`readings` follow from their numbers, `publisher` sends them; `plan` has what happens when, `disturbances` does it;
`checks` compares what was published with what is stored. `stage` has the hub that is disturbed, `run` puts these
together, `report` prints the outcome, `command` is the command line. The servers are those of `lab.rig`.
"""
