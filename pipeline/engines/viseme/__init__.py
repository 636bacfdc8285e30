"""Example-based visual speech synthesis from the reference's own frames: the default engine.

After Bregler, Covell, Slaney: "Video Rewrite: Driving Visual Speech with Audio", SIGGRAPH 1997, and
Ezzat, Poggio: "Visual Speech Synthesis by Morphing Visemes", IJCV 38(1), 2000. No neural weights of
its own: every pixel of the mouth comes from the reference, or, when the reference never opens its
mouth, from a painted cavity in the reference's own colours.

    avatar   a reference, prepared: its `heads`, `features` and `region`, and the `bank` that lends
    plan     what each output frame is to show, and who lends it (`select`, `viterbi`, `presence`)
    scene    where lips and skin of a batch of frames are to be (`shape`, `expression`, `steady`)
    paint    its pictures: a `layer` by the fields of `warp`, what lies `inside`, under a `mask`
    report   what is told of a finished job

Tensors of one batch travel in dataclasses on `batch`.

Photographs also move: `sway` turns their heads, `blink` shuts their eyes.
"""
