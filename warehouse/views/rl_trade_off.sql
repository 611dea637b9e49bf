-- Relevance against diversity: the points of every trade-off curve, and the strategies that are a single point.
CREATE VIEW rl_trade_off AS
SELECT
    r.source,
    r.preset,
    regexp_replace(c.curve, '_?trade_?off$', '') AS strategy,
    CAST(coalesce(c.params ->> 'trade_off', c.params ->> 'weight') AS DOUBLE) AS trade_off,
    c.x AS ndcg,
    c.y AS ild,
    CAST(c.params ->> 'coverage' AS DOUBLE) AS coverage,
    CAST(c.params ->> 'true_reward' AS DOUBLE) AS true_reward,
    c.params,
    c.run_id
FROM curves AS c
JOIN latest_runs AS r USING (run_id)
WHERE c.stage = 'rl' AND regexp_matches(c.curve, 'trade_?off$')
UNION ALL
SELECT
    m.source,
    m.preset,
    m.strategy,
    NULL,
    max(m."value") FILTER (m.metric = 'ndcg') AS ndcg,
    max(m."value") FILTER (m.metric = 'ild') AS ild,
    max(m."value") FILTER (m.metric = 'coverage'),
    max(m."value") FILTER (m.metric = 'true_reward'),
    m.params,
    m.run_id
FROM metrics AS m
SEMI JOIN latest_runs USING (run_id)
WHERE m.stage = 'rl' AND m.slice = '' AND m.field = '' AND m.metric IN ('ndcg', 'ild', 'coverage', 'true_reward')
GROUP BY m.source, m.preset, m.strategy, m.params, m.k, m.seed, m.run_id
HAVING ndcg IS NOT NULL AND ild IS NOT NULL
ORDER BY 1, 2, strategy, trade_off NULLS FIRST;

COMMENT ON VIEW rl_trade_off IS 'NDCG against ILD: whole curves, and strategies that are one point';
COMMENT ON COLUMN rl_trade_off.source IS 'data source';
COMMENT ON COLUMN rl_trade_off.preset IS 'preset of the run';
COMMENT ON COLUMN rl_trade_off.strategy IS 'how the list was ordered';
COMMENT ON COLUMN rl_trade_off.trade_off IS 'the setting of this point of a curve: a diversifier''s weight of relevance, the policy''s lambda = mu; empty for a strategy''s own point';
COMMENT ON COLUMN rl_trade_off.ndcg IS 'relevance of the list';
COMMENT ON COLUMN rl_trade_off.ild IS 'mean pairwise distance within the list';
COMMENT ON COLUMN rl_trade_off.coverage IS 'share of attribute values that the list shows';
COMMENT ON COLUMN rl_trade_off.true_reward IS 'mean reward by the true labels';
COMMENT ON COLUMN rl_trade_off.params IS 'settings, as JSON';
COMMENT ON COLUMN rl_trade_off.run_id IS 'run that made the numbers';
