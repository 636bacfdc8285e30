"""The lip-sync engines, chosen by name (`registry`), behind the contract of `base`.

`viseme` paints from the reference's own frames. `musetalk` and `wav2lip` paint by a network, on top
of `neural`. `duix` hands whole files to a service of its own (`whole`). No engine imports another;
`make check` holds that. What several share lies beside them: `fade`, `meshes`, `taps`, `fitting`,
`windows`.
"""
