-- How far the catalogue is described: for each source and field the share of items with a value, and by whom.
CREATE VIEW catalogue_coverage AS
SELECT
    a.source,
    a.field,
    count(*) AS items,
    count(*) FILTER (a."value" <> 'unknown') AS known,
    count(*) FILTER (a."value" <> 'unknown') / count(*) AS share_known,
    count(*) FILTER (a.origin = 'source') / count(*) AS share_from_source,
    count(*) FILTER (a.origin = 'rule') / count(*) AS share_from_rules,
    count(DISTINCT a."value") FILTER (a."value" <> 'unknown') AS distinct_values,
    mode(a."value") FILTER (a."value" <> 'unknown') AS commonest
FROM item_attributes AS a
SEMI JOIN present_items AS i USING (source, item_id)
GROUP BY a.source, a.field
ORDER BY a.source, share_known DESC, a.field;

COMMENT ON VIEW catalogue_coverage IS 'Which attributes of the catalogue are known, and from where';
COMMENT ON COLUMN catalogue_coverage.source IS 'data source';
COMMENT ON COLUMN catalogue_coverage.field IS 'attribute';
COMMENT ON COLUMN catalogue_coverage.items IS 'items of the source';
COMMENT ON COLUMN catalogue_coverage.known IS 'items with a value of this field';
COMMENT ON COLUMN catalogue_coverage.share_known IS 'known / items';
COMMENT ON COLUMN catalogue_coverage.share_from_source IS 'share that the source labels itself';
COMMENT ON COLUMN catalogue_coverage.share_from_rules IS 'share that rules read from its texts';
COMMENT ON COLUMN catalogue_coverage.distinct_values IS 'different values of this field';
COMMENT ON COLUMN catalogue_coverage.commonest IS 'the value that most items have';
