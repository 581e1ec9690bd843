"""Random changes of training items: whole batches at once, on the device where they are.

What is drawn comes from a generator that is given, so the same seed gives the same batch; only
the heavy part is computed on the device.
"""
