"""MuseTalk 1.5: one pass of a UNet in the latent space of the Stable Diffusion autoencoder.

Zhang et al., "MuseTalk: Real-Time High-Fidelity Video Dubbing via Spatio-Temporal Sampling",
arXiv:2410.10122; the original code and weights are MIT. What is here is written from the facts of
that inference chain and checked against its numbers; its known defects are not reproduced.
"""
