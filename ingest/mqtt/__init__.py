"""
Receives from a broker and sends to one: the only folder that knows paho.

The way of a packet, from the network to a delivery and back as an acknowledgement:

- `address`: where the broker is, and the credentials
- `socket`: one system call for many packets; cuts messages at QoS 1 out of the stream
- `client`: paho's client with that socket; connects once to see whether the broker lets us in, or what it retains
- `connection`: connects, subscribes, publishes, and comes up again after every failure
- `loop`: the thread that drives a connection
- `rounds`: deliveries to who takes them, many at once
- `receiver`: gives rounds of deliveries, and acknowledges them; leaves a shared subscription for good
- `slots`: which collector has which session at the broker
- `sender`: publishes, and knows when the broker has everything

`ingest.collector` takes the rounds; the gateways and `stadspuls publish` send.
"""
