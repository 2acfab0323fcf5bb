"""Telling people: the outbox and the channels."""
