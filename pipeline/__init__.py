"""Files and tensors: the lip-sync pipeline. Knows no Kafka, no object store, no environment variables."""
