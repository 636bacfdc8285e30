"""Many jobs on one device: their frames travel through a network in shared batches.

`shares` decides which frames go next and is pure; `batcher` owns the thread that runs them;
`captured` and `direct` run a network on a GPU and on the CPU behind one interface.
"""
