"""Takes payloads off MQTT, decodes them into readings and puts batches of them on the log."""
