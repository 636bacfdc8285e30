"""The processes that render: the parent's side of them, and theirs.

Parent: `slots.Fleet` owns one `worker` per device and gives out their slots; a worker owns its
child process (`child`) and the renders that are under way there (`runs`), and starts the next one
when it ends, as fast as `ladder` allows.
Child: `worker_main` begins it, `serving` reads jobs and renders them through `rendering`. The two
sides share `protocol` and nothing else. `devices` says which workers there are, `processors` and
`slot_budget` what one may take.
"""
