"""
The simulated city of `stadspuls up --demo`.

`world` is what happens in it, `sensors` who measures it, and `payloads` what they send; `city` decides when, and `demo`
publishes it to a running hub. `city.toml` has the facts.
"""
