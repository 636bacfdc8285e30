"""One module per family of subcommands; `consumer.cli` imports each only when it is called.

A module reads its options, calls what does the work, and shows the result; what several of them
need is in `consumer.local`. Those that work on local files import the pipeline, in their own
process, through `local`.
"""
