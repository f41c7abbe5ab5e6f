"""What does: loops, clock, bus workers, journal, history. The only owner of I/O and time."""
