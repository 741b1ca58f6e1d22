"""The broker core: router, sessions, queues. It knows no socket, no clock and no randomness."""
