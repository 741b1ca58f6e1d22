"""ZMTP, the protocol between ZeroMQ sockets, without a socket (RFC 37, 23 to 27).

Start with :mod:`midge.zmtp.connection`; :mod:`midge.zmtp.events` has what comes out of it and
:mod:`midge.zmtp.settings` what goes in.
"""
