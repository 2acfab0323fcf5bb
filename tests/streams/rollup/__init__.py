"""Tests of `streams/rollup`."""
