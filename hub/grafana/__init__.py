"""
Grafana's dashboards. They are data: a TOML file each in the folder `pages/`.

`model` reads them and makes Grafana's typed dashboards of them, `push` brings these into a running Grafana.
`hub.cli.grafana` calls them, also when the image of Grafana is built.
"""
