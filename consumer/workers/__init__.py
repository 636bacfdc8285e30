"""The processes that render: the parent's side of them, and theirs."""
