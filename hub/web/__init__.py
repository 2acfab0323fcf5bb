"""
The HTTP side of a hub: the API, the live page, `/metrics`, `/healthz` and `/readyz`.

Read in this order: `admission` (which requests are let in, and who may read), `metrics` (numbers for Prometheus),
`api`, `features`, `sta` and `live` (folders of their own), `http` (puts them together and serves them). `hub.run`
starts it; figures come from `aggregates.ask`.
"""
