-- The newest complete run of each stage, source and preset: what the other views report.
CREATE VIEW latest_runs AS
SELECT run_id, flow, stage, preset, source, code_version, config, started_at, finished_at
FROM runs
WHERE status = 'complete'
QUALIFY row_number() OVER (
    PARTITION BY stage, source, preset ORDER BY finished_at DESC NULLS LAST, started_at DESC, run_id DESC
) = 1;

COMMENT ON VIEW latest_runs IS 'The newest complete run of each stage, source and preset';
COMMENT ON COLUMN latest_runs.run_id IS 'key of runs and of everything the run saved';
COMMENT ON COLUMN latest_runs.flow IS 'flow that ran it';
COMMENT ON COLUMN latest_runs.stage IS 'stage of the pipeline';
COMMENT ON COLUMN latest_runs.preset IS 'preset: sizes and budgets';
COMMENT ON COLUMN latest_runs.source IS 'data source';
COMMENT ON COLUMN latest_runs.code_version IS 'digest of the code that ran';
COMMENT ON COLUMN latest_runs.config IS 'settings of the run, as JSON';
COMMENT ON COLUMN latest_runs.started_at IS 'when it began';
COMMENT ON COLUMN latest_runs.finished_at IS 'when it was complete';
