"""What runs: the embedded hub, and each service of the distributed one."""
