"""Who may come in and who may do what: the protocols, and what midge implements of them.

* ``base`` holds what the broker asks: :class:`~midge.auth.base.Authenticator`,
  :class:`~midge.auth.base.Authorizer`, and the decisions that they give.
* ``extended`` holds authentication with exchanges of its own (AUTH).
"""
