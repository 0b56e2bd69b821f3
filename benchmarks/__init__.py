"""Measurements. `make bench` runs them all; speed is claimed here and nowhere else."""
