-- Quality and variety of whole lists: one row a strategy, list length and setting.
CREATE VIEW list_summary AS
SELECT
    m.source,
    m.preset,
    m.strategy,
    m.split,
    m.k,
    m.slice,
    m.seed,
    m.params,
    max(m."value") FILTER (m.metric = 'ndcg') AS ndcg,
    max(m."value") FILTER (m.metric = 'ild') AS ild,
    max(m."value") FILTER (m.metric = 'coverage') AS coverage,
    max(m.n) AS n,
    m.run_id
FROM metrics AS m
SEMI JOIN latest_runs USING (run_id)
WHERE m.field = '' AND m.metric IN ('ndcg', 'ild', 'coverage')
GROUP BY m.source, m.preset, m.strategy, m.split, m.k, m.slice, m.seed, m.params, m.run_id
ORDER BY m.source, m.preset, m.k, m.slice, m.seed, ndcg DESC;

COMMENT ON VIEW list_summary IS 'List-level rerank (Base, MMR, RL …) by strategy, from the latest complete runs';
COMMENT ON COLUMN list_summary.source IS 'data source';
COMMENT ON COLUMN list_summary.preset IS 'preset of the run';
COMMENT ON COLUMN list_summary.strategy IS 'how the list was chosen';
COMMENT ON COLUMN list_summary.split IS 'users and items it was judged on';
COMMENT ON COLUMN list_summary.k IS 'list length';
COMMENT ON COLUMN list_summary.slice IS 'subset of the users; empty: all';
COMMENT ON COLUMN list_summary.seed IS 'seed of the run; -1: none';
COMMENT ON COLUMN list_summary.params IS 'settings of the strategy, as JSON';
COMMENT ON COLUMN list_summary.ndcg IS 'order by true relevance, 0 to 1';
COMMENT ON COLUMN list_summary.ild IS 'mean cosine distance between the listed items';
COMMENT ON COLUMN list_summary.coverage IS 'attribute values shown, of those that the pool could show';
COMMENT ON COLUMN list_summary.n IS 'lists';
COMMENT ON COLUMN list_summary.run_id IS 'run that made the numbers';
