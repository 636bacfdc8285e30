"""HTTP sides of the service: health of the consumer, and the gateway."""
