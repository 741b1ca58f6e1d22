"""ZeroMQ's socket types as logic: attach, detach, send, receive; no sockets, no clock.

`pattern` is what all types have in common, `pipe` what lies between a socket and one peer,
`options` the table of options. `balance` and `prefixes` are what several types build on. The types:
`pipeline`, `pair`, `pubsub`, `xpubsub`, `reqrep`, `router`, `stream`, `draft`.
"""
