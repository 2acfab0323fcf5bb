"""
What benches share: the load they put on the hub, and how it is measured.

`servers` starts what a bench needs, or takes what the settings name. `traffic` is readings without messages, `minute` a
national NDW minute as messages, `viewers` people at the live page, `plain` the Faust agent that workers are compared
with. `time_shares` measures where the pipeline's time goes.
"""
