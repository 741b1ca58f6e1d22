"""The MQTT client: a sans-I/O core, and the faces that programs use."""
