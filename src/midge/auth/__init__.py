"""Who may come in and who may do what: the protocols, and what midge implements of them.

* ``base`` holds what the broker asks: :class:`~midge.auth.base.Authenticator`,
  :class:`~midge.auth.base.Authorizer`, and the decisions that they give. Begin there.
* ``chain`` asks several of them in turn.
* ``passwords`` is about hashes, ``password_file`` about Mosquitto's file of them.
* ``acl_file`` reads Mosquitto's file of rules, ``acl_rules`` decides by them and explains itself.
* ``jwt`` takes tokens instead of passwords.
* ``http`` asks a service elsewhere; it is the one module here that does I/O.
* ``psk_file`` reads the keys of TLS-PSK.
* ``extended`` holds authentication with exchanges of its own (AUTH).
* ``offload`` is how all of these have slow work done without holding up the broker.

``midge.server.security_sources`` makes them of a configuration; ``midge.server.plugins`` adds a
user's own.
"""
