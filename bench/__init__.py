"""Every figure that the README states, measured: ``python -m bench``, or ``make bench``."""
