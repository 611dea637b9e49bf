-- An ingest with --limit looks at a sample only: what it did not draw is left out, which is not to say that it is gone.

ALTER TABLE items ADD COLUMN left_out_at TIMESTAMPTZ;
