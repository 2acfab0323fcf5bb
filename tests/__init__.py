"""The proof: unit, property, integration and end-to-end tests."""
