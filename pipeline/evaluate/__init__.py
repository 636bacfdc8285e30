"""The whole suite of figures about one output, each with its unit, direction and source.

`suite.evaluate` is the entry. It gathers `evidence` once (two tracked videos, the speech, and
what that asks for), lets each family measure it (`lips`, `motion`, `pixels`, `ends`, `own`, `lse`,
`independent`), and writes every figure, or the reason for none, into the `ledger` of the
`catalogue`. `report` makes a folder of it. Nothing is known of the render that made the output.
"""
