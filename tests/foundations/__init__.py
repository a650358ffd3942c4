"""The modules that everything stands on."""
