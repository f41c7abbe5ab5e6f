"""Host side of the hardware: one file per device family. Imports ``hwctl.model`` only."""
