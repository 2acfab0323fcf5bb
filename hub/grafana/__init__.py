"""Grafana's dashboards: what they show (`pages`), their typed model, and how they get into a Grafana."""
