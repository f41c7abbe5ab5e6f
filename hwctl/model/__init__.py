"""The words of a rig: units, readings, errors, hardware and settings as data, driver contracts.

Imports nothing of the layers above.
"""
