"""Measurements that say whether improving towards the critic's choice can help a trained policy."""
