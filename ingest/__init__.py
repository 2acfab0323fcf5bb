"""
Takes payloads off MQTT, decodes them into readings and puts batches of them on the log.

In the order of reading; each folder uses only those above it:

- `vocabulary`: what everybody uses: quantities, sources, readings, batches, dead letters
- `formats`: payloads to readings
- `mqtt`: receives from a broker, and sends to one
- `log`: batches on their way, in memory or through Kafka
- `files`: what people hand in, and how it is cut into messages
- `collector`: takes rounds from `mqtt`, decodes, puts batches on the log, acknowledges
- `gateways`: open sources of the country, polled and published over MQTT

Before it are the sensors; after it `streams` takes the batches off the log.
"""
