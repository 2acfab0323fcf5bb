"""
OGC API Features below `/ogc`: lists of the API as collections that QGIS, ArcGIS and GDAL open by their address.

`app` has the collections, what may be asked of them, the routes, and pages for people (`page.html`).
`collections.toml` has the collections, each made of a list of `hub.web.api`, whose pages and parameters they share.
"""
