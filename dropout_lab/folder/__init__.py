"""What a study's folder must hold: the one judge of what is complete and what is damaged."""
