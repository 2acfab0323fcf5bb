"""Composition: settings, command line, the embedded hub, metrics and benches."""
