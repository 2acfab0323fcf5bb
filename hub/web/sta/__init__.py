"""
SensorThings API 1.1 over figures with their evidence, below `/sta/v1.1`; it reads only.

A request goes through these modules: `app` (the path, and what the answer holds), `options` (`$expand` and the other
query options), `filters` (`$filter` and `$orderby` to SQL), `reading` (statements, and rows to JSON; `updates` sends
these over MQTT). `entities` has the sets, data as the functions of filters are; relations: `aggregates/sql/sta.sql`.
"""
