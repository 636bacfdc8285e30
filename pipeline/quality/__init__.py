"""How good an output is, measured from files alone, with no state of the render that made it.

`measure` is the entry: `watch` tracks the output, `asked` plans the mouth that its speech asks for,
and `mouths`, `sync` and `picture` compare. `crops` and `sheet` draw what `pipeline.inspect` shows.
`pipeline.evaluate` builds the whole suite on these.
"""
