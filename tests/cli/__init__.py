"""The command line and the installer."""
