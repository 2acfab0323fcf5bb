"""
The benches of `stadspuls bench`, one module each; a bench measures beside a baseline and gives a
`lab.load.result.Result`.

In the order in which `registry` runs them: `write`, `collect`, `national`, `latency`, `query`, `archive`, `workers`
(two benches), `alerts`, `areas`, `page`, then the two of `lab.soak`, and `lab.load.sta`. `command` is the command line.
`lab.load` has what several of them share.
"""
