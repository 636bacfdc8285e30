"""Records in and out: the consumer group, its ledger and commits, producers, topics, replay."""
