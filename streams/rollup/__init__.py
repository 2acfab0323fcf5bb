"""What comes later: hours and days, the proof, retention."""
