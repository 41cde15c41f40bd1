-- The shop's tables, whose pictures the database takes care of.  Once: psql -d shop -f shop.sql

CREATE EXTENSION IF NOT EXISTS mediastore;
CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL, profile_photo_data bytea);
CREATE TABLE organizations (id serial PRIMARY KEY, name text NOT NULL, logo_data bytea);
CREATE TABLE parts (id serial PRIMARY KEY, name text NOT NULL, image_data bytea[] NOT NULL DEFAULT '{}');

-- From now on, whatever is written to these columns is compressed, or refused.
SELECT media_attach('users', 'profile_photo_data', max_dimension => 512);
SELECT media_attach('organizations', 'logo_data', max_dimension => 256);
SELECT media_attach('parts', 'image_data');

-- For the page: each row, and how many pictures it has.
CREATE VIEW shop AS
    SELECT 'users/' || id AS path, name, num_nonnulls(profile_photo_data) AS pictures FROM users
    UNION ALL SELECT 'organizations/' || id, name, num_nonnulls(logo_data) FROM organizations
    UNION ALL SELECT 'parts/' || id, name, media_count(image_data) FROM parts;

INSERT INTO users (name) VALUES ('Ada'), ('Charles');
INSERT INTO organizations (name) VALUES ('Analytical Engines');
INSERT INTO parts (name) VALUES ('Difference wheel');
