-- The catalogue as the newest ingest of each source found it: without items that have vanished or that its limit left out.
CREATE VIEW present_items AS
SELECT * FROM items WHERE vanished_at IS NULL AND left_out_at IS NULL;

COMMENT ON VIEW present_items IS 'Items that the newest ingest of their source found';
COMMENT ON COLUMN present_items.source IS 'data source';
COMMENT ON COLUMN present_items.item_id IS 'key of the item within its source';
COMMENT ON COLUMN present_items.group_id IS 'items with one design or photo; a group stays in one split';
COMMENT ON COLUMN present_items.split IS 'train, val, test or excluded';
COMMENT ON COLUMN present_items.image_path IS 'its picture, below the root or absolute';
COMMENT ON COLUMN present_items.image_sha256 IS 'SHA-256 of the picture''s bytes';
COMMENT ON COLUMN present_items.title IS 'title on the shop''s page';
COMMENT ON COLUMN present_items.description IS 'description, empty when there is none';
COMMENT ON COLUMN present_items.raw IS 'the source''s own columns, as JSON';
COMMENT ON COLUMN present_items.ingested_at IS 'when it was written or last changed';
COMMENT ON COLUMN present_items.group_key IS 'the source''s name of the design';
COMMENT ON COLUMN present_items.image_phash IS 'perceptual hash of the picture, 256 bits as hex; empty for one flat tone';
COMMENT ON COLUMN present_items.row_digest IS 'of what the source said of it';
COMMENT ON COLUMN present_items.vanished_at IS 'always empty here';
COMMENT ON COLUMN present_items.left_out_at IS 'always empty here';
