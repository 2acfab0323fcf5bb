"""Tests of `hub/web/api`."""
