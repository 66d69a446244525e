"""The Hugging Face Hub: policies and data as repositories, with a card; nothing is executed."""
