-- What a person should look at first: predicted values with the least confidence, from the latest runs.
CREATE VIEW low_confidence AS
SELECT
    r.source,
    p.item_id,
    i.title,
    i.image_path,
    p.model,
    p.inputs,
    p.mode,
    p.field,
    p."value",
    p.confidence,
    p.run_id
FROM predicted_attributes AS p
JOIN latest_runs AS r USING (run_id)
LEFT JOIN items AS i ON i.source = r.source AND i.item_id = p.item_id
WHERE p."value" <> 'unknown' AND p.confidence < 0.5
ORDER BY p.confidence, p.item_id, p.field;

COMMENT ON VIEW low_confidence IS 'Known values predicted with a confidence below 0.5, least confident first';
COMMENT ON COLUMN low_confidence.source IS 'data source';
COMMENT ON COLUMN low_confidence.item_id IS 'item';
COMMENT ON COLUMN low_confidence.title IS 'its title';
COMMENT ON COLUMN low_confidence.image_path IS 'its picture';
COMMENT ON COLUMN low_confidence.model IS 'model that answered';
COMMENT ON COLUMN low_confidence.inputs IS 'what the model saw';
COMMENT ON COLUMN low_confidence.mode IS 'raw or constrained decoding';
COMMENT ON COLUMN low_confidence.field IS 'attribute in question';
COMMENT ON COLUMN low_confidence."value" IS 'predicted value';
COMMENT ON COLUMN low_confidence.confidence IS 'confidence in it, 0 to 1';
COMMENT ON COLUMN low_confidence.run_id IS 'run that made the prediction';
