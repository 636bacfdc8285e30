"""Prepared references in files: what a job makes of a reference alone, kept for the next one.

    parts    objects as named tensors and facts, and back
    file     one safetensors file with its full key and a digest; anything doubtful is no file
    key      everything that such a file depends on
    cabinet  one job's view of a folder of them

Keeping is a favour: whatever goes wrong here, the job prepares its reference anew.
"""
