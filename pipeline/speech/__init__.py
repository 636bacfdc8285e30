"""What a mouth does for a given sound: phones, closures and curves of opening, width and jaw.

Time grid: 100 steps a second; step k stands for the instant k / 100 s (sample 160 k at 16 kHz).

`mouth.listen` hears a speech once (`mel`, `activity`, phones by `recogniser`, or by `align` where
the words are known); `mouth.plan_heard` makes curves of it by the table of `visemes`, shut where
`closures` and `dips` say so. `fit` replaces the table by the person's own way of speaking, as far
as that was shown to be better. `targets` samples the curves for output frames, and `mouth_range`
gives them the units of one face.
"""
