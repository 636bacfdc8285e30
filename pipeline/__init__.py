"""Files and tensors: the lip-sync pipeline. Knows no Kafka, no store, no environment variables."""
