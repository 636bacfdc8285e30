"""Files and tensors: the lip-sync pipeline. Knows no Kafka, no store, no environment variables.

`render.render` is the one entry of a job: two files in, one verified MP4 and a report out. It owns
the order and the threads, and calls:

    reading   probe, hear and decode the inputs
    faces     track one face through the reference
    avatars   use what an earlier job kept of this reference, or keep what this one makes
    engines   prepare, plan, generate: an engine owns tensors; `engines.base` has the contract
    mark      label the pictures, later sign the file
    writing   encode, and read the file back

`speech` and `batching` serve the engines. `quality`, `evaluate` and `syncnet` judge finished files
and have no part in making them. What the stages hand to each other is in `types`, with the
conventions of axes, pixels and time; what they raise is in `errors`.
"""
