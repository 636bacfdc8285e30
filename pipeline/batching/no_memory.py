"""How CUDA's libraries say that a device's memory ended. Imports nothing."""

SIGNS = ("out of memory", "STATUS_ALLOC_FAILED", "NVML_SUCCESS ==")
"""CUDA's, cuBLAS' and cuDNN's words; the last are torch's, which asks the driver why and cannot."""
