"""Measures this machine: one module a bench, each giving a `hub.bench.result.Result`."""
