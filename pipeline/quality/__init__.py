"""How good an output is, measured from files alone, with no state of the render that made it."""
