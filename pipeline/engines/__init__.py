"""The lip-sync engines, chosen by name (`pipeline.engines.registry`)."""
