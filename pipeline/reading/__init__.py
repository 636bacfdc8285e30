"""What comes in: probed by limits, opened on trial, decoded to upright pictures and exact sound."""
