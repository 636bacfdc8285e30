"""The whole suite of figures about one output, each with its unit, direction and source.

Everything is computed from files; nothing is known of the render that made the output.
"""
