"""What the kernel keeps a worker's process from doing, set once at its start (Linux).

Address space is not limited: CUDA reserves far more of it than it ever uses, and torch maps
weights. Memory is the container's business; size and length of inputs are
`pipeline.reading.probe`'s.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource

MAX_OPEN_FILES = 4096
"""CUDA and torch take some hundreds; a leak should meet a wall before it meets other processes."""
_PR_SET_NO_NEW_PRIVS = 38


def limit_process(max_file_bytes: int) -> None:
    """Lower this process's own limits. They are inherited and cannot be raised again.

    - no core dumps: they would hold people's faces and voices, and fill the disk;
    - no file above `max_file_bytes`: an encoder gone wild gets EFBIG instead of filling scratch
      (Python ignores SIGXFSZ, so writing fails like on a full disk);
    - at most `MAX_OPEN_FILES` descriptors;
    - no new privileges through setuid programs (prctl(2));
    - files that only this user may read.

    Raises:
        ValueError: the limit is not positive.
        OSError: the kernel refuses.
    """
    if max_file_bytes <= 0:
        raise ValueError(f"max_file_bytes must be positive, not {max_file_bytes}")
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, max_file_bytes)
    _lower(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    os.umask(0o077)
    _no_new_privileges()


def _lower(limit: int, value: int) -> None:
    """Set the soft and the hard limit, never above what is allowed already."""
    _, hard = resource.getrlimit(limit)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(limit, (value, value))


def _no_new_privileges() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(number, f"prctl(PR_SET_NO_NEW_PRIVS): {os.strerror(number)}")
