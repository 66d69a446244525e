"""Environments and recordings of users: any Gymnasium environment, any registered format."""
