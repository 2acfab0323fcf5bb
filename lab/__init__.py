"""
The laboratory: what measures the hub and tries to break it. It is not in the image, and nothing in the hub uses it.

`rig` has real servers and services that can be killed, `load` makes and measures load, `bench` has the benches and
`chaos` the run that kills everything in turn.
"""
