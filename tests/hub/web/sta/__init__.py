"""Tests of `hub.web.sta`."""
