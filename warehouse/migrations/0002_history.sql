-- What an ingest needs to know of the ones before it: by which traits an item was placed, what its source said of it,
-- and whether it is still there. Rows of schema 1 have no traits on record: the next ingest counts them as changed.

ALTER TABLE items ADD COLUMN group_key VARCHAR DEFAULT '';
ALTER TABLE items ALTER COLUMN group_key SET NOT NULL;
ALTER TABLE items ADD COLUMN image_phash VARCHAR DEFAULT '';
ALTER TABLE items ALTER COLUMN image_phash SET NOT NULL;
ALTER TABLE items ADD COLUMN row_digest VARCHAR DEFAULT '';
ALTER TABLE items ALTER COLUMN row_digest SET NOT NULL;
ALTER TABLE items ADD COLUMN vanished_at TIMESTAMPTZ;
