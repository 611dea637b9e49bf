-- Two ways in which data falls short, by source: rows that were rejected, and fields that nobody filled in.
CREATE VIEW data_quality AS
WITH sizes AS (
    SELECT source, sum(items) AS items, sum(rejected) AS rejected
    FROM (
        SELECT source, count(*) AS items, 0 AS rejected FROM present_items GROUP BY source
        UNION ALL
        SELECT source, 0, count(*) FROM quarantine GROUP BY source
    )
    GROUP BY source
)
SELECT
    q.source, 'quarantine' AS "check", q.reason AS subject, count(*) AS affected,
    any_value(s.items + s.rejected) AS total, count(*) / any_value(s.items + s.rejected) AS share
FROM quarantine AS q JOIN sizes AS s USING (source)
GROUP BY q.source, q.reason
UNION ALL
SELECT
    a.source, 'unknown', a.field, count(*) FILTER (a."value" = 'unknown'),
    count(*), count(*) FILTER (a."value" = 'unknown') / count(*)
FROM item_attributes AS a
SEMI JOIN present_items AS i USING (source, item_id)
GROUP BY a.source, a.field
ORDER BY 1, 2, affected DESC, subject;

COMMENT ON VIEW data_quality IS 'Rejected rows by reason and unknown values by field, for each source';
COMMENT ON COLUMN data_quality.source IS 'data source';
COMMENT ON COLUMN data_quality."check" IS 'quarantine: rejected rows; unknown: items without a value';
COMMENT ON COLUMN data_quality.subject IS 'reason of the rejection, or the field';
COMMENT ON COLUMN data_quality.affected IS 'how many rows or items';
COMMENT ON COLUMN data_quality.total IS 'of how many';
COMMENT ON COLUMN data_quality.share IS 'affected / total, 0 to 1';
