-- What changed between a complete run and the one before it (same stage, source and preset): metric by metric.
CREATE VIEW run_drift AS
WITH numbered AS (
    SELECT
        run_id, stage, source, preset, finished_at,
        lag(run_id) OVER earlier AS previous_run_id
    FROM runs
    WHERE status = 'complete'
    WINDOW earlier AS (PARTITION BY stage, source, preset ORDER BY finished_at NULLS FIRST, started_at, run_id)
),
-- Two runs rarely have the same seed; where a run has several, the first meets the first.
measured AS (
    SELECT *, row_number() OVER (
        PARTITION BY run_id, model, strategy, inputs, mode, split, slice, field, metric, k, CAST(params AS VARCHAR)
        ORDER BY seed
    ) AS turn
    FROM metrics
)
SELECT
    r.source,
    r.preset,
    m.stage,
    m.model,
    m.strategy,
    m.inputs,
    m.mode,
    m.split,
    m.slice,
    m.field,
    m.metric,
    m.k,
    m.params,
    p."value" AS previous,
    m."value" AS current,
    m."value" - p."value" AS change,
    m.ci_low > p.ci_high OR m.ci_high < p.ci_low AS apart,
    r.previous_run_id,
    r.run_id,
    r.finished_at
FROM numbered AS r
JOIN measured AS m ON m.run_id = r.run_id
JOIN measured AS p
    ON p.run_id = r.previous_run_id
    AND (p.model, p.strategy, p.inputs, p.mode, p.split, p.slice, p.field, p.metric, p.k, p.turn)
    = (m.model, m.strategy, m.inputs, m.mode, m.split, m.slice, m.field, m.metric, m.k, m.turn)
    AND CAST(p.params AS VARCHAR) = CAST(m.params AS VARCHAR)
ORDER BY r.finished_at DESC, abs(change) DESC, m.metric, m.model, m.field;

COMMENT ON VIEW run_drift IS 'Each complete run beside the one before it, metric by metric; give run_id and previous_run_id for one pair';
COMMENT ON COLUMN run_drift.source IS 'data source';
COMMENT ON COLUMN run_drift.preset IS 'preset of both runs';
COMMENT ON COLUMN run_drift.stage IS 'stage that measured it';
COMMENT ON COLUMN run_drift.model IS 'model, empty where none is concerned';
COMMENT ON COLUMN run_drift.strategy IS 'how a list was ordered, empty where none is concerned';
COMMENT ON COLUMN run_drift.inputs IS 'what the model saw';
COMMENT ON COLUMN run_drift.mode IS 'raw or constrained decoding';
COMMENT ON COLUMN run_drift.split IS 'items that were scored';
COMMENT ON COLUMN run_drift.slice IS 'subset or way of judging; empty: all';
COMMENT ON COLUMN run_drift.field IS 'attribute; empty: all';
COMMENT ON COLUMN run_drift.metric IS 'name of the metric';
COMMENT ON COLUMN run_drift.k IS 'list length';
COMMENT ON COLUMN run_drift.params IS 'settings, as JSON';
COMMENT ON COLUMN run_drift.previous IS 'its value in the run before';
COMMENT ON COLUMN run_drift.current IS 'its value in this run';
COMMENT ON COLUMN run_drift.change IS 'current - previous';
COMMENT ON COLUMN run_drift.apart IS 'whether the two 95 % intervals do not touch; empty without intervals';
COMMENT ON COLUMN run_drift.previous_run_id IS 'the run before';
COMMENT ON COLUMN run_drift.run_id IS 'this run';
COMMENT ON COLUMN run_drift.finished_at IS 'when this run ended';
