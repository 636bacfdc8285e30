"""The object store: the only package that knows S3, and the objects that lie in it.

    storage      the store as coroutines; owns the thread pools, and is all that others call
    reads · writes · buckets    the blocking calls, over `sdk` and `signing`, which import `minio`
    facts        what is read and what goes wrong, in our words
    marker · lease · held_lease    who works on a render: read, taken, and renewed until given back
    records · outcomes          where a render's objects lie, and which outcome a job has
    job_files                   inputs on their way in, results on their way out
    lifecycle · sweeping · sweeper    expiry by the server, or by our own hand where it has none

A lease belongs to the job that took it, inside one `async with`; the manifest is written by
`consumer.work.outcome` and by nobody else.
"""
