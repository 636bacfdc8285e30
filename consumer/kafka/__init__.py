"""Records in and out: the consumer group, its ledger and commits, producers, topics, replay.

Reading. `subscriber.Intake` owns the consumer, and replaces one that can no longer be used. Its
`pump` owns the poll loop, and calls, for each record, in order:

    polling      the next record of the partition that has waited longest
    due          a record that is due later pauses its partition
    assignment   the partitions of this replica, and the book of each through a rebalance
    in_work      a task per record: `handler` admits it (`admission`) and hands the job to
                 `consumer.work`
    ledger       what has ended; `commits` alone commits it

Writing. `publisher` is the only way out for outcomes, retries, dead letters and progress; it sends
by `producing` (one idempotent producer) and `bulk` (large records).

Commands use `client`, `replay` and `topics_apply`. What has no public name is known to few:
FastStream's insides to `subscriber`; aiokafka's to `membership`, `decompression`, `header_names`.
"""
