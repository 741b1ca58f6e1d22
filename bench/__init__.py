"""Measures MQTT brokers against each other in one run: ``python -m bench --help``.

``rows`` says what is measured, ``brokers`` starts and stops whom, ``generator`` builds and drives
the load generator (``load/``, in C, so that it is never the slower side), ``measure`` puts them
together for one sample, ``report`` makes a table of the medians of many.
"""
