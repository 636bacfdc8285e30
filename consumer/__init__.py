"""The service: Kafka in and out, the object store, the worker processes, HTTP and the command line."""
