"""The payload formats that need code, one module each; every one registers itself when it is imported."""
