-- What is taken for what: cells of every field's confusion matrix, with shares of the row, from the latest runs.
CREATE VIEW field_confusion AS
SELECT
    r.source,
    r.preset,
    c.model,
    c.inputs,
    c.mode,
    c.split,
    c.field,
    c.true_value,
    c.predicted_value,
    c.n,
    c.n / sum(c.n) OVER matrix_row AS share,
    c.true_value = c.predicted_value AS correct,
    c.run_id
FROM confusions AS c
JOIN latest_runs AS r USING (run_id)
WINDOW matrix_row AS (PARTITION BY c.run_id, c.model, c.inputs, c.mode, c.split, c.field, c.true_value)
ORDER BY r.source, r.preset, c.model, c.inputs, c.mode, c.split, c.field, c.n DESC, c.true_value, c.predicted_value;

COMMENT ON VIEW field_confusion IS 'Confusion matrices of every field, cell by cell, from the latest complete runs';
COMMENT ON COLUMN field_confusion.source IS 'data source';
COMMENT ON COLUMN field_confusion.preset IS 'preset of the run';
COMMENT ON COLUMN field_confusion.model IS 'base, sft or lora';
COMMENT ON COLUMN field_confusion.inputs IS 'what the model saw: image, title or image_title';
COMMENT ON COLUMN field_confusion.mode IS 'raw or constrained decoding';
COMMENT ON COLUMN field_confusion.split IS 'items that were scored';
COMMENT ON COLUMN field_confusion.field IS 'attribute';
COMMENT ON COLUMN field_confusion.true_value IS 'what the source says';
COMMENT ON COLUMN field_confusion.predicted_value IS 'what the model read';
COMMENT ON COLUMN field_confusion.n IS 'items in this cell';
COMMENT ON COLUMN field_confusion.share IS 'of the items with this true value';
COMMENT ON COLUMN field_confusion.correct IS 'whether this is a cell of the diagonal';
COMMENT ON COLUMN field_confusion.run_id IS 'run that made the numbers';
