"""Faces: find them, follow one of them, and say where its 478 points are in every frame.

`track.track_faces` is the one entry, and goes in this order:

    tracker    detects faces and gives each a `follower`, which looks at it with the mesh network
    choice     which of those faces is meant
    occlusion  frames in which something is before the mouth
    guessed    shots and photos in which it is there throughout
    smooth     meshes that do not tremble, and what is measured on them
    usable     frames that can be painted on, and why the others cannot

Meshes lie on scratch (`point_store`). Networks are loaded once per process (`loaded`); `shared`
runs them on a GPU for all jobs, `litert` on processors. Regions and points have their conventions
in `roi`, `pose` and `topology`; pixels as in `pipeline.types`.
"""
