"""Files to objects: reading, placing every fault at its line, checking across tables."""
