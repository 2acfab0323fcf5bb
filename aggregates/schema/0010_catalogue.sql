-- The version of the catalogue is a row: it is seen together with the sensors of its import, not before their commit.
CREATE TABLE catalogue (version bigint NOT NULL);
INSERT INTO catalogue SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM catalogue_version;
DROP SEQUENCE catalogue_version;
