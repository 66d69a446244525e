"""One-step generative policies for robot manipulation, trained by offline-to-online RL."""

__version__ = "0.1.0"
