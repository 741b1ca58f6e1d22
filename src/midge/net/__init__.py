"""What does I/O: sockets, event loop, listeners. It knows bytes, not protocols."""
