"""One module per family of subcommands; `consumer.cli` imports each only when it is called."""
