"""The contracts of Face2Face: what travels on topics, what lies in the bucket, what an error means.

Pydantic only. Every other package may import this one; it imports nothing of ours, so that an
upstream team can depend on it without torch, Kafka or an object store.
"""
