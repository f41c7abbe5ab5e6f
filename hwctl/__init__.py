"""hwctl: what a BMC is to a server, for a cluster you can carry."""

__version__ = "0.1.0"
