-- What is on the shelves: items by source, split and category.
CREATE VIEW catalogue_overview AS
SELECT
    i.source,
    i.split,
    a."value" AS category,
    count(*) AS items,
    count(DISTINCT i.group_id) AS groups
FROM present_items AS i
JOIN item_attributes AS a ON a.source = i.source AND a.item_id = i.item_id AND a.field = 'category'
GROUP BY i.source, i.split, a."value"
ORDER BY i.source, i.split, items DESC, category;

COMMENT ON VIEW catalogue_overview IS 'Items by source, split and category';
COMMENT ON COLUMN catalogue_overview.source IS 'data source';
COMMENT ON COLUMN catalogue_overview.split IS 'train, val, test or excluded';
COMMENT ON COLUMN catalogue_overview.category IS 'canonical category of the source''s own label';
COMMENT ON COLUMN catalogue_overview.items IS 'number of items';
COMMENT ON COLUMN catalogue_overview.groups IS 'number of groups that stay together in one split';
