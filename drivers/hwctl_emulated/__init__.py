"""Device side of the hardware: the same chips, seen from the bus, and the world they sit in.

Imports ``hwctl.model`` and no driver: two readings of one datasheet that agree prove something,
one reading used twice proves nothing.
"""
