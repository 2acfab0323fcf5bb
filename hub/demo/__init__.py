"""
The simulated city of `stadspuls up --demo`.

`world` is what happens in it and who measures it, `payloads` what sensors send; `city` decides when, and `demo`
publishes it to a running hub. `city.toml` has the facts.
"""
