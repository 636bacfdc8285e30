"""The service: Kafka in and out, the store, the worker processes, HTTP and the command line."""
