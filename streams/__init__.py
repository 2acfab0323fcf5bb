"""Takes batches off the log: quality, windows, roll-ups, reconciliation and retention."""
