"""Wav2Lip, for checkpoints that the user owns (96, 256 and 288 px).

Prajwal et al., "A Lip Sync Expert Is All You Need for Speech to Lip Generation In The Wild", ACM
Multimedia 2020. Written from the layer table and the facts of the inference chain and checked
against its numbers; its known defects are not reproduced. The published checkpoints are for
research only, which is said when one is loaded; Face2Face brings none.
"""
