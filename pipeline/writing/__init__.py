"""What goes out: encoded within a bound of fidelity, sealed into an MP4, and read back."""
