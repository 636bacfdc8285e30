"""The object store: the only place that knows S3, and what lies in it."""
