"""
What benches share: the load they put on the hub, and how it is measured.

`result` is what each gives, `servers` starts what it needs, or takes what the settings name. `traffic` is readings
without messages, `minute` a national NDW minute as messages, `alarms` readings that raise alerts, `viewers` people at
the live page, `balances` what became of readings, `plain` the Faust agent that workers are compared with, `beside`
other frameworks. `time_shares` measures where the pipeline's time goes. `sta` is a bench: it asks SensorThings, with
20,000 sensors in the store.
"""
