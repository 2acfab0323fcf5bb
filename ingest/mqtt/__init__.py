"""
Receives from a broker and sends to one: the only folder that knows paho.

The way of a packet: `address`, `socket` (cuts messages out of the stream), `client` (paho's, and single looks at a
broker), `connection` (keeps itself up, in a thread), `receiver` (gives rounds of messages to `ingest.collector`, and
acknowledges them), `slots` (which collector has which session), `sender` (of the gateways and `stadspuls publish`).
"""
