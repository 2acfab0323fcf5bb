"""
Grafana's dashboards. They are data: a TOML file each in the folder `pages/`.

`dashboards` makes the JSON of them that Grafana stores, `push` brings it into a running Grafana.
`hub.cli.ask` calls them, also when the image of Grafana is built.
"""
