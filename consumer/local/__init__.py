"""What the commands share on one machine: terminal, files, and the embedded servers.

`console` speaks and ends with an exit code; `options` and `files` look at what a command was given;
`round_trip` carries a request from here and its MP4 back, and `narrator` tells of it. `playground`
owns all processes of `demo` and `dev`, the `embedded` servers among them, and leaves none behind.
"""
