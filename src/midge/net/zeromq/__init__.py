"""ZeroMQ over real transports: the engine of one socket, its wires, and what runs them."""
