"""Robomimic: its tasks in robosuite, its files of demonstrations, and scripted operators."""
