"""midge: a small messaging system."""
