"""Log records as messages: :mod:`.handlers` sends them, ``python -m midge.zmq.log`` shows them."""
