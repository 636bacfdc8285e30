"""What comes in: probed by limits, opened on trial, decoded to upright pictures and exact sound.

    trial      opens a file first, in a process that may be ended
    probe      what a file is: `scan` counts its packets; `container` opens it, here and below
    audio      speech at 16 kHz mono, from `sound_stream`, which has no holes
    decode     `FrameReader`: pictures by the number of their frame on the `grid`, in any order
    film       what only a look through a whole film tells, found once for all who read it

A picture passes `cursor` (seek and decode), `deinterlace` (interlaced film), `crop` (what is not
shown, by `shown_part`) and `upright` (planes of our own; high dynamic range by `tone_map`), in this
order; `colors` says how its colours are to be read. `FrameReader` owns the open file and what
`kept_pictures` and `blocks` hold of it in scratch. Nothing here trusts a header. What an input
cannot be raises `InputError`.
"""
