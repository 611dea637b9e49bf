-- How far lists obey as requests grow: constraint satisfaction by the number of constraints, a row a strategy.
CREATE VIEW constraint_satisfaction_by_size AS
SELECT
    m.source,
    m.preset,
    m.model,
    m.k,
    CAST(regexp_extract(m.slice, '^constraints=(\d+)$', 1) AS INTEGER) AS constraints,
    m.strategy,
    m."value" AS constraint_satisfaction,
    m.ci_low AS low,
    m.ci_high AS high,
    m.n,
    m.run_id
FROM metrics AS m
SEMI JOIN latest_runs USING (run_id)
WHERE m.stage = 'rerank' AND m.metric = 'constraint_satisfaction' AND m.field = ''
    AND regexp_full_match(m.slice, 'constraints=\d+')
ORDER BY m.source, m.preset, m.model, m.k, constraints, constraint_satisfaction DESC, m.strategy;

COMMENT ON VIEW constraint_satisfaction_by_size IS 'Constraint satisfaction by the number of constraints of a request';
COMMENT ON COLUMN constraint_satisfaction_by_size.source IS 'data source';
COMMENT ON COLUMN constraint_satisfaction_by_size.preset IS 'preset of the run';
COMMENT ON COLUMN constraint_satisfaction_by_size.model IS 'model whose attributes were used';
COMMENT ON COLUMN constraint_satisfaction_by_size.k IS 'list length';
COMMENT ON COLUMN constraint_satisfaction_by_size.constraints IS 'constraints in the request';
COMMENT ON COLUMN constraint_satisfaction_by_size.strategy IS 'how the list was ordered; ceiling and oracle are bounds';
COMMENT ON COLUMN constraint_satisfaction_by_size.constraint_satisfaction IS 'share of wanted constraints that the listed items meet';
COMMENT ON COLUMN constraint_satisfaction_by_size.low IS 'lower end of its 95 % interval';
COMMENT ON COLUMN constraint_satisfaction_by_size.high IS 'upper end of its 95 % interval';
COMMENT ON COLUMN constraint_satisfaction_by_size.n IS 'queries of this size';
COMMENT ON COLUMN constraint_satisfaction_by_size.run_id IS 'run that made the numbers';
