"""What speaks: HTTP, dashboard, metrics, command line. Holds no rules."""
