SELECT seen_at, channels FROM notifier
