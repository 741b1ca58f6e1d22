"""What makes programs that talk through midge testable: clocks that are moved, peers in memory."""
