"""
Notifications: from the outbox in the database to mail, chat, webhooks and MQTT.

Read in this order: `channels` (the file that says who gets what), `operators` (listing, acknowledging and silencing
alerts), `texts` (the wording), `delivery` (one channel: grouping, order, retries), `apprise_door` (sending), and
`notifier` (all channels, one active process). Before: `streams.alerts` writes alerts and outbox in one
transaction. After: the receivers; `hub.run.notifying` starts it, the API and the live page use `operators`.
"""
