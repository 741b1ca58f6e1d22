"""Measures MQTT brokers against each other in one run: ``python -m bench --help``."""
