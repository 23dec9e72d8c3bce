"""Measurements beside bare baselines, in one run on one machine: only the ratios mean something."""
