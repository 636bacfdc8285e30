"""SyncNet v2, the referee of lip-sync: does this mouth belong to this sound, and at which offset.

Chung and Zisserman, "Out of time: automated lip sync in the wild", ACCV workshops 2016. The scores
LSE-C and LSE-D are computed as Wav2Lip's evaluation defines them (Prajwal et al. 2020), with its
quirks, so that figures can be compared with published ones.
"""
