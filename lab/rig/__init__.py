"""Real servers and services on this machine, that can be killed: for tests, benches and the chaos run."""
