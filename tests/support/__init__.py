"""What several tests need: brokers, databases, hubs and browsers that really run."""
