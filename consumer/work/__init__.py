"""From an admitted job to its one outcome.

    outcome      owns the order of side effects, and calls the others in it
    case         a job, the render it is, and where its outcome is recorded
    recorded     is there an outcome already, and where would one be recorded
    refusal      why no render is started, or a running one is given up
    attempt      fetch (`inputs`, `avatars`) → slot → attempt marker → render → put MP4
    announcing   the event of a recorded outcome, the first time and again

The job's scratch folder, its lease and its slot are held inside `outcome` and `attempt`, and are
given back on every way out.
"""
