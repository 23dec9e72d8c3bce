"""What deploying means: pure functions of frozen data, standard library only."""
