"""
The simulated city of `stadspuls up --demo`.

`world` is what happens in it and who measures it, `payloads` what sensors send; `city` decides when, `groningen` loads
the real areas and streets beneath, and `demo` publishes to a running hub. `city.toml` has the facts, `map/` the map.
"""
