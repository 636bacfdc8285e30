"""The engine `duix`: the `heygem-gen-video` container behind its submit and query calls.

It renders one task at a time, forgets a task when its end was seen once, and knows no cancel.
Files go through a folder that it shares: `DUIX_DATA_DIR` here is `/code/data` there.
"""
