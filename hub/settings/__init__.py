"""
The settings of the hub, the lowest of its folders.

`values` has the types of single values, `settings` the model of all of them, and `layers` makes the model of flags,
environment and files. Everything else takes the model, or plain values out of it.
"""
