SELECT nextval('catalogue_version')
