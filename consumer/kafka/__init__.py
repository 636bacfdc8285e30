"""Records in and out: the consumer group, its ledger and commits, producers, topics, replay.

Reading. `subscriber.Intake` owns the consumer, and replaces one that can no longer be used. Its
`pump` owns the poll loop; a record passes, in order:

    polling      takes the next record of the partition that has waited longest
    due          pauses the partition of a record that is due later
    in_work      starts a task per record: `handler` admits it (`admission`) and hands the job to
                 `consumer.work`
    ledger       knows what has ended in a partition
    commits      alone commits what the ledgers know

`assignment` owns the ledgers: it opens and closes them as the group moves partitions.

Writing. `publisher` is the only way out for outcomes, retries, dead letters and progress; it sends
by `producing` (one idempotent producer) and `bulk` (large records).

Commands use `client`, `replay` and `topics_apply`. What has no public name is known to few:
FastStream's insides to `subscriber`; aiokafka's to `membership`, `decompression`, `header_names`,
`request_timeout`.
"""
