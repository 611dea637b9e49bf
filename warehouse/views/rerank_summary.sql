-- Does the rerank obey the shopper, and do its explanations tell the truth: one row a strategy and list length.
CREATE VIEW rerank_summary AS
SELECT
    m.source,
    m.preset,
    m.model,
    m.strategy,
    m.split,
    m.k,
    m.slice,
    m.params,
    max(m."value") FILTER (m.metric = 'constraint_satisfaction') AS constraint_satisfaction,
    max(m.ci_low) FILTER (m.metric = 'constraint_satisfaction') AS constraint_satisfaction_low,
    max(m.ci_high) FILTER (m.metric = 'constraint_satisfaction') AS constraint_satisfaction_high,
    max(m."value") FILTER (m.metric = 'explanation_faithfulness') AS explanation_faithfulness,
    max(m.n) AS n,
    m.run_id
FROM metrics AS m
SEMI JOIN latest_runs USING (run_id)
WHERE m.field = '' AND m.metric IN ('constraint_satisfaction', 'explanation_faithfulness')
GROUP BY m.source, m.preset, m.model, m.strategy, m.split, m.k, m.slice, m.params, m.run_id
ORDER BY m.source, m.preset, m.model, m.k, m.slice, constraint_satisfaction DESC;

COMMENT ON VIEW rerank_summary IS 'Constraint rerank by strategy and list length, from the latest complete runs';
COMMENT ON COLUMN rerank_summary.source IS 'data source';
COMMENT ON COLUMN rerank_summary.preset IS 'preset of the run';
COMMENT ON COLUMN rerank_summary.model IS 'model whose attributes were used';
COMMENT ON COLUMN rerank_summary.strategy IS 'how the list was ordered';
COMMENT ON COLUMN rerank_summary.split IS 'items that the candidates come from';
COMMENT ON COLUMN rerank_summary.k IS 'list length';
COMMENT ON COLUMN rerank_summary.slice IS 'subset of the queries or way of judging; empty: all';
COMMENT ON COLUMN rerank_summary.params IS 'settings of the strategy, as JSON';
COMMENT ON COLUMN rerank_summary.constraint_satisfaction IS 'share of wanted constraints that the listed items meet';
COMMENT ON COLUMN rerank_summary.constraint_satisfaction_low IS 'lower end of its 95 % interval';
COMMENT ON COLUMN rerank_summary.constraint_satisfaction_high IS 'upper end of its 95 % interval';
COMMENT ON COLUMN rerank_summary.explanation_faithfulness IS 'share of the explanations'' claims that the item''s JSON holds';
COMMENT ON COLUMN rerank_summary.n IS 'queries';
COMMENT ON COLUMN rerank_summary.run_id IS 'run that made the numbers';
