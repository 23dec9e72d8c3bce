"""A model of the whole system: real services on real Postgres, everything around them simulated and drawn by Hypothesis."""
