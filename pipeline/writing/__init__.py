"""What goes out: encoded within a bound of fidelity, sealed into an MP4, and read back.

`output` opens the file that a job makes; `encode.Encoder` owns the container from then on, and
writes pictures (`turns` of `x264`, or `nvenc`) and sound (`soundtrack`) in step. `fidelity` decides
when an encoder ends and a finer one begins; `losses`, when a GPU's encoder is given up. `verify`
reads the closed file, after `pipeline.mark` has signed it.
"""
