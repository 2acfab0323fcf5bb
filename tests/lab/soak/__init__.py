"""Tests of `lab.soak`."""
