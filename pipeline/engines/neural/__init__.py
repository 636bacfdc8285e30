"""What engines share that paint a box of the face by a network, in batches of all running jobs.

`boxes`, `contour`, `mask`, `masks`: where the face is and where the painted one may show;
`painter`: the networks on their device; `reading`, `compose` and `lost`: between frames and the
network's pictures; `avatar`: what is kept of a reference; `ahead` and `engine`: a job, from the
speech to the painted frames. What is particular to a network, its box, its pictures and what it
hears, is in the packages of `musetalk` and `wav2lip`.
"""
