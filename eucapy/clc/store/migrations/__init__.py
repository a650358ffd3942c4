"""The cloud controller's migrations, in the order of their numbers."""
