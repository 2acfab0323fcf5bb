"""The chaos run: numbered readings through a distributed hub whose parts are killed, and the proof that all arrive."""
