"""
The laboratory: what measures the hub, tries to break it, or stands in for its sensors. It is not in the image, and no
module of the hub imports it; the command line loads it by name.

`rig` has real servers and services that can be killed, `load` makes and measures load, `bench` has the benches, `soak`
the one that fills a hub, `chaos` the run that kills everything in turn, and `demo` the simulated city of `stadspuls up
--demo`.
"""
