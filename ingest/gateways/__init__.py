"""The country's open sources as MQTT messages: one file each, polled by `ingest.gateways.schedule`."""
