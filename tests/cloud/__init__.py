"""Stories through a whole cloud."""
