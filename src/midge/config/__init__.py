"""Configuration: one table of options, what reads them, and what is made of them.

* ``options`` knows every option by name; ``option_table`` is the table that it reads.
* ``settings``, ``security``, ``tls``, ``bridges`` and ``plugins`` hold what the rest of midge
  reads: typed values with units in their names.
* ``sources`` makes a configuration of a file (``mosquitto_conf``, ``toml_conf``) and the
  ``environment``. All of them give option by option to ``reader``, which has ``forms`` and
  ``bridge_forms`` for what is not simple, ``values`` for what a value may look like, ``place`` for
  where it stands, and ``checks`` for what can only be judged at the end.
* ``render`` is the way back from settings to lines; ``show``, ``diff`` (the plan of a reload) and
  ``reference`` (the page in the documentation) build on it.

Nothing here opens a file: readers are given text.
"""
