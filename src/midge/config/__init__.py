"""Configuration: the table of options, typed settings, and the readers of configuration files.

* ``options`` is the one table that knows every option by name.
* ``settings`` holds what the rest of midge reads: typed values with units in their names.
* ``mosquitto_conf`` turns the text of a mosquitto.conf into settings.

Nothing here opens a file: readers are given text.
"""
