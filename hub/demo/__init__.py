"""
The simulated city of `stadspuls up --demo`.

`world` is what happens in it, `sensor` measures it, `own_json` and `suppliers` write the payloads; `city` decides what
is sent when, and `demo` publishes it to a running hub.
"""
