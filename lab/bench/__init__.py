"""
The benches of `stadspuls bench`, one module each; a bench measures beside a baseline and gives a `result`.

In the order in which `registry` runs them: `write`, `collect`, `national`, `latency`, `query`, `archive`, `workers`
(two benches), `alerts`, `areas`. `command` is the command line. `lab.load` has what several of them share.
"""
