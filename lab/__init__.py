"""The laboratory: benches, real servers that can be killed, the chaos run. It is not in the image."""
