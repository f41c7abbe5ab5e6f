"""The head itself: what it has and lacks (doctor), and what is put on it (install)."""
