"""Example-based visual speech synthesis from the reference's own frames: the default engine.

After Bregler, Covell, Slaney: "Video Rewrite: Driving Visual Speech with Audio", SIGGRAPH 1997, and
Ezzat, Poggio: "Visual Speech Synthesis by Morphing Visemes", IJCV 38(1), 2000. No neural weights of
its own: every pixel of the mouth comes from the reference, or, when the reference never opens its
mouth, from a painted cavity in the reference's own colours.
"""
