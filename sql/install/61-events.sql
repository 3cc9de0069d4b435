-- Events as they come in by use cases, what became of them, and what they changed.
--
-- A row of erp.event is written once and stays as it is: what an event waits for is in erp.inbox, what
-- became of it in erp.outcome. Small rows come and go, payloads are never copied.

CREATE TABLE erp.event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    integration integer NOT NULL,
    use_case integer NOT NULL,
    event_name text NOT NULL,
    payload jsonb NOT NULL,
    deduplication_id text COLLATE "C",
    correlation_id text COLLATE "C",
    group_key text COLLATE "C",
    occurred_at timestamptz,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    received_by text COLLATE "C" NOT NULL DEFAULT current_user,
    duplicate_of bigint
);
CREATE UNIQUE INDEX event_deduplication_id ON erp.event (integration, deduplication_id)
    WHERE deduplication_id IS NOT NULL AND duplicate_of IS NULL;
CREATE INDEX event_correlation_id ON erp.event (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX event_received_at ON erp.event USING brin (received_at);
COMMENT ON TABLE erp.event IS 'Events that came in by use cases, as they came';
COMMENT ON COLUMN erp.event.id IS 'in the order of their arrival';
COMMENT ON COLUMN erp.event.integration IS 'the integration';
COMMENT ON COLUMN erp.event.use_case IS 'the use case';
COMMENT ON COLUMN erp.event.event_name IS 'the event''s name';
COMMENT ON COLUMN erp.event.payload IS 'JSON, or a string that holds JSON';
COMMENT ON COLUMN erp.event.deduplication_id IS 'the sender''s name for this very event: an integration takes it once';
COMMENT ON COLUMN erp.event.correlation_id IS 'what belongs together; null: event- and its id';
COMMENT ON COLUMN erp.event.group_key IS 'events with the same one are applied in order; null: those of the integration without one';
COMMENT ON COLUMN erp.event.occurred_at IS 'the timestamp that the sender gave';
COMMENT ON COLUMN erp.event.received_at IS 'when it came in';
COMMENT ON COLUMN erp.event.received_by IS 'the role that brought it in';
COMMENT ON COLUMN erp.event.duplicate_of IS 'the event that it repeats: nothing is done about it; 0: that was removed meanwhile';

CREATE TABLE erp.run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case integer NOT NULL,
    version integer NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done integer NOT NULL,
    failed integer NOT NULL,
    dead integer NOT NULL,
    ms double precision NOT NULL DEFAULT 0,
    run_by text COLLATE "C" NOT NULL DEFAULT current_user
);
CREATE INDEX run_finished_at ON erp.run (use_case, finished_at);
CREATE INDEX run_finished_at_brin ON erp.run USING brin (finished_at);
COMMENT ON TABLE erp.run IS 'Events of one use case that were applied together';
COMMENT ON COLUMN erp.run.id IS 'what outcomes and history refer to';
COMMENT ON COLUMN erp.run.use_case IS 'the use case';
COMMENT ON COLUMN erp.run.version IS 'the version of its configuration; 0: the use case had been dropped';
COMMENT ON COLUMN erp.run.started_at IS 'when it began';
COMMENT ON COLUMN erp.run.finished_at IS 'when it ended';
COMMENT ON COLUMN erp.run.done IS 'events that were applied';
COMMENT ON COLUMN erp.run.failed IS 'events that failed, those that will be tried again included';
COMMENT ON COLUMN erp.run.dead IS 'events that went to the dead letters';
COMMENT ON COLUMN erp.run.ms IS 'milliseconds it took; events of several use cases that were applied together share them by their number';
COMMENT ON COLUMN erp.run.run_by IS 'the role that ran it';

CREATE TABLE erp.outcome (
    event bigint PRIMARY KEY,
    run bigint,
    state text COLLATE "C" NOT NULL CHECK (state IN ('done', 'dead', 'skipped')),
    attempts smallint NOT NULL DEFAULT 1,
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX outcome_dead ON erp.outcome (event) WHERE state = 'dead';
COMMENT ON TABLE erp.outcome IS 'What became of events; those without a row wait, or are duplicates';
COMMENT ON COLUMN erp.outcome.event IS 'the event';
COMMENT ON COLUMN erp.outcome.run IS 'the run it ended with; null: it was skipped';
COMMENT ON COLUMN erp.outcome.state IS 'done; dead (it failed, and is not tried again by itself) or skipped (by an operator)';
COMMENT ON COLUMN erp.outcome.attempts IS 'how often it was tried';
COMMENT ON COLUMN erp.outcome.ended_at IS 'when';

CREATE TABLE erp.failure (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event bigint NOT NULL,
    use_case integer NOT NULL,
    run bigint,
    attempt smallint NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sqlstate text COLLATE "C" NOT NULL,
    code text COLLATE "C",
    message text NOT NULL,
    detail text,
    hint text
);
CREATE INDEX failure_event ON erp.failure (event);
CREATE INDEX failure_failed_at ON erp.failure (use_case, failed_at);
COMMENT ON TABLE erp.failure IS 'Attempts at events that failed';
COMMENT ON COLUMN erp.failure.id IS 'in the order of time';
COMMENT ON COLUMN erp.failure.event IS 'the event';
COMMENT ON COLUMN erp.failure.use_case IS 'its use case';
COMMENT ON COLUMN erp.failure.run IS 'the run';
COMMENT ON COLUMN erp.failure.attempt IS 'which attempt it was, from 1';
COMMENT ON COLUMN erp.failure.failed_at IS 'when';
COMMENT ON COLUMN erp.failure.sqlstate IS 'the error''s SQLSTATE';
COMMENT ON COLUMN erp.failure.code IS 'its stable code, of errors of erp_toolkit';
COMMENT ON COLUMN erp.failure.message IS 'its message';
COMMENT ON COLUMN erp.failure.detail IS 'its detail';
COMMENT ON COLUMN erp.failure.hint IS 'its hint';

CREATE TABLE erp.history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity_slug text COLLATE "C" NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    event bigint NOT NULL,
    run bigint NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_by text COLLATE "C" NOT NULL,
    is_full boolean NOT NULL,
    before jsonb,
    after jsonb,
    state_before text COLLATE "C",
    state_after text COLLATE "C"
);
CREATE INDEX history_entity ON erp.history (entity_slug, entity_id, id);
CREATE INDEX history_event ON erp.history (event);
CREATE INDEX history_changed_at ON erp.history USING brin (changed_at);
COMMENT ON TABLE erp.history IS 'What events of use cases with history changed; written by erp_toolkit alone';
COMMENT ON COLUMN erp.history.id IS 'in the order of the changes of an entity';
COMMENT ON COLUMN erp.history.entity_slug IS 'the entity type';
COMMENT ON COLUMN erp.history.entity_id IS 'the entity';
COMMENT ON COLUMN erp.history.action IS 'what was done to it, as erp_apply tells';
COMMENT ON COLUMN erp.history.event IS 'the event that did it';
COMMENT ON COLUMN erp.history.run IS 'the run it was part of';
COMMENT ON COLUMN erp.history.changed_at IS 'when';
COMMENT ON COLUMN erp.history.changed_by IS 'the role that applied the event';
COMMENT ON COLUMN erp.history.is_full IS 'whether before and after are all attributes, not those alone that changed';
COMMENT ON COLUMN erp.history.before IS 'attributes before; null: the entity was not there';
COMMENT ON COLUMN erp.history.after IS 'attributes after; null: the entity is gone';
COMMENT ON COLUMN erp.history.state_before IS 'live, stub or deleted (softly); null: the entity was not there';
COMMENT ON COLUMN erp.history.state_after IS 'the same after; null: the entity is gone';

-- Lanes

CREATE TABLE erp.inbox (
    lane smallint NOT NULL,
    event bigint NOT NULL,
    use_case integer NOT NULL,
    group_hash bigint NOT NULL,
    attempts smallint NOT NULL DEFAULT 0,
    due_at timestamptz,
    PRIMARY KEY (lane, event)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX inbox_failed ON erp.inbox (lane, group_hash) WHERE attempts > 0;
COMMENT ON TABLE erp.inbox IS 'Events that wait to be applied';
COMMENT ON COLUMN erp.inbox.lane IS 'the lane of its group: one worker at a time is in a lane';
COMMENT ON COLUMN erp.inbox.event IS 'the event';
COMMENT ON COLUMN erp.inbox.use_case IS 'its use case';
COMMENT ON COLUMN erp.inbox.group_hash IS 'of its integration and group_key';
COMMENT ON COLUMN erp.inbox.attempts IS 'how often it has failed';
COMMENT ON COLUMN erp.inbox.due_at IS 'after a failure: when it is tried again; infinity: not by itself, it blocks its group';

-- One worker at a time takes the events of a lane, in their order. mark: all events of the lane up to
-- it are gone, and none can come any more; so a worker does not wade through the dead rows that a long
-- transaction keeps the vacuum from taking away.
CREATE TABLE erp.lane (
    lane smallint PRIMARY KEY,
    mark bigint NOT NULL DEFAULT 0,
    next_look_at timestamptz
) WITH (fillfactor = 10);
INSERT INTO erp.lane (lane) SELECT generate_series(0, 255);
COMMENT ON TABLE erp.lane IS 'Private: what workers lock to take events in order';
COMMENT ON COLUMN erp.lane.lane IS 'its number';
COMMENT ON COLUMN erp.lane.mark IS 'its events up to this one are gone';
COMMENT ON COLUMN erp.lane.next_look_at IS 'when to look again after nothing was due';

-- Events are visible when their transactions commit, not in the order of their ids. All up to `safe` have
-- come; those up to next_id have when every transaction before next_xid has ended.
CREATE TABLE erp.inbox_horizon (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    safe bigint NOT NULL DEFAULT 0,
    next_id bigint NOT NULL DEFAULT 0,
    next_xid xid8 NOT NULL DEFAULT '0'
);
INSERT INTO erp.inbox_horizon DEFAULT VALUES;
COMMENT ON TABLE erp.inbox_horizon IS 'Private: up to which id all events have come in';
COMMENT ON COLUMN erp.inbox_horizon.is_only IS 'there is one row';
COMMENT ON COLUMN erp.inbox_horizon.safe IS 'no event up to this one can come any more';
COMMENT ON COLUMN erp.inbox_horizon.next_id IS 'the same, once';
COMMENT ON COLUMN erp.inbox_horizon.next_xid IS 'the transactions before this one have ended';

-- Runs of whole hours, added up for the views: kept for two days, and made again from erp.run after a restore.
CREATE TABLE erp.run_hour (
    use_case integer NOT NULL,
    hour timestamptz NOT NULL,
    version integer NOT NULL,
    runs bigint NOT NULL,
    done bigint NOT NULL,
    failed bigint NOT NULL,
    dead bigint NOT NULL,
    ms double precision NOT NULL,
    most_ms double precision NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (use_case, hour, version)
);
COMMENT ON TABLE erp.run_hour IS 'Private: runs by the hour, up to erp.run_horizon';
COMMENT ON COLUMN erp.run_hour.use_case IS 'the use case';
COMMENT ON COLUMN erp.run_hour.hour IS 'when the hour began in which they ended';
COMMENT ON COLUMN erp.run_hour.version IS 'the version of its configuration';
COMMENT ON COLUMN erp.run_hour.runs IS 'how many';
COMMENT ON COLUMN erp.run_hour.done IS 'events that were applied';
COMMENT ON COLUMN erp.run_hour.failed IS 'attempts that failed';
COMMENT ON COLUMN erp.run_hour.dead IS 'events that went to the dead letters';
COMMENT ON COLUMN erp.run_hour.ms IS 'milliseconds they took';
COMMENT ON COLUMN erp.run_hour.most_ms IS 'milliseconds an event in the slowest';
COMMENT ON COLUMN erp.run_hour.last_at IS 'when the last one ended';

-- As erp.inbox_horizon, for runs.
CREATE TABLE erp.run_horizon (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    added bigint NOT NULL DEFAULT 0,
    next_id bigint NOT NULL DEFAULT 0,
    next_xid xid8 NOT NULL DEFAULT '0'
);
INSERT INTO erp.run_horizon DEFAULT VALUES;
COMMENT ON TABLE erp.run_horizon IS 'Private: up to which id runs are in erp.run_hour';
COMMENT ON COLUMN erp.run_horizon.is_only IS 'there is one row';
COMMENT ON COLUMN erp.run_horizon.added IS 'runs up to this one are in erp.run_hour';
COMMENT ON COLUMN erp.run_horizon.next_id IS 'the same, once';
COMMENT ON COLUMN erp.run_horizon.next_xid IS 'the transactions before this one have ended';

SELECT pg_catalog.pg_extension_config_dump('erp.event', '');
SELECT pg_catalog.pg_extension_config_dump('erp.event_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('erp.run', '');
SELECT pg_catalog.pg_extension_config_dump('erp.run_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('erp.outcome', '');
SELECT pg_catalog.pg_extension_config_dump('erp.failure', '');
SELECT pg_catalog.pg_extension_config_dump('erp.failure_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('erp.history', '');
SELECT pg_catalog.pg_extension_config_dump('erp.history_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('erp.inbox', '');

GRANT SELECT ON erp.event, erp.run, erp.outcome, erp.failure, erp.history, erp.inbox, erp.lane, erp.inbox_horizon, erp.run_hour,
                erp.run_horizon
    TO @extowner@ WITH GRANT OPTION;
GRANT INSERT, DELETE ON erp.event, erp.run, erp.outcome, erp.failure, erp.inbox TO @extowner@ WITH GRANT OPTION;
GRANT UPDATE ON erp.outcome, erp.inbox, erp.lane, erp.inbox_horizon, erp.run_hour, erp.run_horizon TO @extowner@ WITH GRANT OPTION;
GRANT INSERT, DELETE ON erp.run_hour TO @extowner@ WITH GRANT OPTION;
GRANT DELETE ON erp.history TO @extowner@ WITH GRANT OPTION;
-- For a restore. Others cannot be granted it: nobody makes up a change.
GRANT INSERT ON erp.history TO @extowner@;
GRANT USAGE, SELECT ON SEQUENCE erp.event_id_seq, erp.run_id_seq, erp.failure_id_seq TO @extowner@ WITH GRANT OPTION;
