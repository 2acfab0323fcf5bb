"""
Notifications: from the outbox in the database to mail, chat, webhooks and MQTT.

Read in this order: `channels` (the file that says who gets what), `silences`, `texts` (the wording), `apprise_door`
(sending), `delivery` (one channel: grouping, order, retries), `notifier` (all channels, one active process), and
`operators` (listing, acknowledging and silencing alerts). Before: `streams.alerts` writes alerts and outbox in one
transaction. After: the receivers; `hub.run.notifying` starts it, the API and the live page use `operators`.
"""
