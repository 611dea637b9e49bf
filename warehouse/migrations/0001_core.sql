-- Relations of schema 1. Column names are the field names of fvrec/records.py. Text is never NULL: absent is ''.
-- There are no primary keys on the bulk relations: an index slows bulk loads, and DuckDB cannot delete and insert one
-- key again in one transaction. The writer replaces whole keys and refuses duplicates instead.

CREATE TABLE items (
    source VARCHAR NOT NULL,
    item_id VARCHAR NOT NULL,
    group_id VARCHAR NOT NULL,
    split VARCHAR NOT NULL CHECK (split IN ('train', 'val', 'test', 'excluded')),
    image_path VARCHAR NOT NULL,
    image_sha256 VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    description VARCHAR NOT NULL,
    raw JSON NOT NULL,
    ingested_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE item_attributes (
    source VARCHAR NOT NULL,
    item_id VARCHAR NOT NULL,
    field VARCHAR NOT NULL,
    "value" VARCHAR NOT NULL,
    origin VARCHAR NOT NULL CHECK (origin IN ('source', 'rule', 'unknown'))
);

CREATE TABLE quarantine (
    source VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    detail VARCHAR NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE runs (
    run_id VARCHAR NOT NULL,
    flow VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    preset VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL,
    config JSON NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    status VARCHAR NOT NULL CHECK (status IN ('running', 'complete', 'failed'))
);

CREATE TABLE predictions (
    run_id VARCHAR NOT NULL,
    item_id VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    inputs VARCHAR NOT NULL,
    mode VARCHAR NOT NULL,
    raw_output VARCHAR NOT NULL,
    json_valid BOOLEAN NOT NULL,
    schema_valid BOOLEAN NOT NULL CHECK (json_valid OR NOT schema_valid),
    error VARCHAR NOT NULL,
    error_class VARCHAR NOT NULL
);

CREATE TABLE predicted_attributes (
    run_id VARCHAR NOT NULL,
    item_id VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    inputs VARCHAR NOT NULL,
    mode VARCHAR NOT NULL,
    field VARCHAR NOT NULL,
    "value" VARCHAR NOT NULL,
    confidence DOUBLE NOT NULL CHECK (confidence BETWEEN 0 AND 1)
);

CREATE TABLE metrics (
    run_id VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    preset VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    inputs VARCHAR NOT NULL,
    mode VARCHAR NOT NULL,
    seed BIGINT NOT NULL,
    slice VARCHAR NOT NULL,
    field VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    k INTEGER NOT NULL,
    params JSON NOT NULL,
    "value" DOUBLE NOT NULL,
    ci_low DOUBLE,
    ci_high DOUBLE,
    n BIGINT NOT NULL
);

CREATE TABLE confusions (
    run_id VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    inputs VARCHAR NOT NULL,
    mode VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    field VARCHAR NOT NULL,
    true_value VARCHAR NOT NULL,
    predicted_value VARCHAR NOT NULL,
    n BIGINT NOT NULL
);

CREATE TABLE curves (
    run_id VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    curve VARCHAR NOT NULL,
    x DOUBLE NOT NULL,
    y DOUBLE NOT NULL,
    params JSON NOT NULL
);

CREATE TABLE rankings (
    run_id VARCHAR NOT NULL,
    query_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    "position" INTEGER NOT NULL,
    item_id VARCHAR NOT NULL,
    score DOUBLE NOT NULL,
    explanation VARCHAR NOT NULL,
    evidence JSON NOT NULL
);

CREATE TABLE users (
    source VARCHAR NOT NULL,
    user_id VARCHAR NOT NULL,
    split VARCHAR NOT NULL CHECK (split IN ('train', 'val', 'test', 'excluded')),
    preferences JSON NOT NULL,
    estimate JSON NOT NULL
);

CREATE TABLE interactions (
    source VARCHAR NOT NULL,
    user_id VARCHAR NOT NULL,
    item_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    "at" TIMESTAMPTZ NOT NULL
);

CREATE TABLE embeddings (
    source VARCHAR NOT NULL,
    item_id VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    vector FLOAT[] NOT NULL
);
