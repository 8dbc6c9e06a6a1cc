"""The layers' definitions in NumPy: what each computes, stated as plainly as can be.

Arguments are the bottoms, then the parameters, then the fields of the layer's message under their names, with
the schema's defaults.
"""
