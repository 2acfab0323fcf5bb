"""The simulated city of `stadspuls up --demo`."""
