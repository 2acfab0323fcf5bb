"""Areas of CBS: boundaries, statistics, sensors placed in them, and figures per area."""
