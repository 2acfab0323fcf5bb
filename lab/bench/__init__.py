"""Measures this machine: one module a bench, each giving a `lab.bench.result.Result`."""
