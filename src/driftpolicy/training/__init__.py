"""Training: the offline and the online phase, evaluation, checkpoints, logs."""
