-- How well each model reads attributes: one row a variant, over all supervised fields. Each variant is shown from the
-- newest complete run that measured it, whether a run measures one model or all of them.
CREATE VIEW model_leaderboard AS
WITH measured AS (
    SELECT
        m.source,
        m.preset,
        m.model,
        m.inputs,
        m.split,
        m.mode,
        max(m."value") FILTER (m.metric = 'json_valid_rate') AS json_valid_rate,
        max(m."value") FILTER (m.metric = 'schema_pass_rate') AS schema_pass_rate,
        max(m."value") FILTER (m.metric = 'micro_f1') AS micro_f1,
        max(m.ci_low) FILTER (m.metric = 'micro_f1') AS micro_f1_low,
        max(m.ci_high) FILTER (m.metric = 'micro_f1') AS micro_f1_high,
        max(m."value") FILTER (m.metric = 'macro_f1') AS macro_f1,
        max(m.n) AS n,
        m.run_id
    FROM metrics AS m
    WHERE m.model <> '' AND m.field = '' AND m.slice = ''
        AND m.metric IN ('json_valid_rate', 'schema_pass_rate', 'micro_f1', 'macro_f1')
    GROUP BY m.source, m.preset, m.model, m.inputs, m.split, m.mode, m.run_id
)
SELECT measured.*
FROM measured
JOIN runs USING (run_id)
WHERE runs.status = 'complete'
QUALIFY row_number() OVER (
    PARTITION BY measured.source, measured.preset, model, inputs, split, mode
    ORDER BY runs.finished_at DESC NULLS LAST, runs.started_at DESC, run_id DESC
) = 1
ORDER BY measured.source, measured.preset, split, inputs, mode, micro_f1 DESC;

COMMENT ON VIEW model_leaderboard IS 'Extraction quality of each model variant, from the newest complete run that measured it';
COMMENT ON COLUMN model_leaderboard.source IS 'data source';
COMMENT ON COLUMN model_leaderboard.preset IS 'preset that trained the model';
COMMENT ON COLUMN model_leaderboard.model IS 'base (E0), sft (E1) or lora (E2)';
COMMENT ON COLUMN model_leaderboard.inputs IS 'what the model saw: image, title or image_title';
COMMENT ON COLUMN model_leaderboard.split IS 'items it was scored on';
COMMENT ON COLUMN model_leaderboard.mode IS 'raw: plain generation; constrained: decoding held to the schema';
COMMENT ON COLUMN model_leaderboard.json_valid_rate IS 'share of answers that are one JSON object';
COMMENT ON COLUMN model_leaderboard.schema_pass_rate IS 'share of answers that obey the schema';
COMMENT ON COLUMN model_leaderboard.micro_f1 IS 'micro-F1 over the supervised fields; an invalid answer is wrong';
COMMENT ON COLUMN model_leaderboard.micro_f1_low IS 'lower end of its 95 % interval';
COMMENT ON COLUMN model_leaderboard.micro_f1_high IS 'upper end of its 95 % interval';
COMMENT ON COLUMN model_leaderboard.macro_f1 IS 'macro-F1 over the supervised fields';
COMMENT ON COLUMN model_leaderboard.n IS 'items scored';
COMMENT ON COLUMN model_leaderboard.run_id IS 'run that made the numbers';
