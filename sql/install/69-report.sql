-- A status page as text. What it says is in the views of 68-monitoring.sql; here it is only set out.

CREATE FUNCTION @extschema@.erp_report(format text DEFAULT 'text') RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
    CASE format
        WHEN 'text' THEN RETURN erp._report_text();
        WHEN 'html' THEN RETURN erp._report_html();
        ELSE RAISE EXCEPTION 'format must be ''text'' or ''html''' USING ERRCODE = 'invalid_parameter_value';
    END CASE;
END
$$;
COMMENT ON FUNCTION @extschema@.erp_report(text) IS
'A status page: what is red first and what to do about it, the inbox, the last 24 hours, errors, dead letters. format: text, or html for one document with charts that needs nothing else. For members of pg_monitor, and whom the views of monitoring are granted to. Errors: 22023, 42501.';

CREATE FUNCTION erp._number(number numeric) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN trim(to_char(number, '999,999,999,999,999,990'));
COMMENT ON FUNCTION erp._number(numeric) IS 'Private: a whole number, readable';

CREATE FUNCTION erp._percent(rate numeric) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN trim(to_char(rate * 100, '990.0')) || ' %';
COMMENT ON FUNCTION erp._percent(numeric) IS 'Private: a rate of 0 to 1, readable';

CREATE FUNCTION erp._ago(at timestamptz) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN erp._duration(statement_timestamp() - at) || ' ago';
COMMENT ON FUNCTION erp._ago(timestamptz) IS 'Private: how long ago';

CREATE FUNCTION erp._line(text text, most integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT CASE WHEN length(l.line) > most THEN left(l.line, most - 1) || '…' ELSE l.line END
            FROM (SELECT regexp_replace(text, '[[:space:][:cntrl:]]+', ' ', 'g')) AS l(line));
COMMENT ON FUNCTION erp._line(text, integer) IS 'Private: text in one line, without control characters, not too long';

-- Columns whose heading begins with a space are set to the right.
CREATE FUNCTION erp._text_table(heading text, headings text[], cells text[], otherwise text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lines text[] := ARRAY[ARRAY(SELECT trim(h) FROM unnest(headings) WITH ORDINALITY AS u(h, n) ORDER BY n)] || cells;
    widths integer[];
BEGIN
    IF cells IS NULL THEN
        RETURN E'\n' || heading || E'\n  ' || otherwise || E'\n';
    END IF;
    widths := ARRAY(SELECT max(length(coalesce(lines[l][c], ''))) FROM generate_subscripts(headings, 1) AS c, generate_subscripts(lines, 1) AS l
                    GROUP BY c ORDER BY c);
    RETURN E'\n' || heading || E'\n' || (
        SELECT string_agg('  ' || rtrim(t.line) || E'\n', '' ORDER BY t.l)
        FROM (SELECT l, string_agg(CASE WHEN headings[c] LIKE ' %' THEN lpad(coalesce(lines[l][c], ''), widths[c])
                                        ELSE rpad(coalesce(lines[l][c], ''), widths[c]) END, '  ' ORDER BY c) AS line
              FROM generate_subscripts(lines, 1) AS l, generate_subscripts(headings, 1) AS c GROUP BY l) AS t);
END
$$;
COMMENT ON FUNCTION erp._text_table(text, text[], text[], text) IS 'Private: a heading and a table as text; otherwise: what is said without rows';

-- Of a million dead letters the latest tell what is wrong.
CREATE VIEW erp._dead_letter_groups AS
SELECT coalesce(d.use_case, '(dropped)') AS use_case, coalesce(d.code, d.sqlstate) AS code, d.message, count(*) AS events,
       max(d.event) AS example_event, max(d.dead_at) AS last_at, (SELECT count(*) FROM erp.outcome AS o WHERE o.state = 'dead') AS all_events,
       CASE WHEN d.use_case IS NULL THEN format('SELECT erp_skip(array_agg(event)) FROM erp.dead_letters WHERE use_case IS NULL AND sqlstate = %L;', d.sqlstate)
            ELSE format('SELECT erp_retry(%L, sqlstate => %L);', d.use_case, d.sqlstate) END AS retry
FROM (SELECT * FROM erp.dead_letters ORDER BY event DESC LIMIT 1000) AS d
GROUP BY d.use_case, d.code, d.sqlstate, d.message;
COMMENT ON VIEW erp._dead_letter_groups IS 'Private: the latest dead letters by their errors';
GRANT SELECT ON erp._dead_letter_groups TO pg_monitor;
GRANT SELECT ON erp._dead_letter_groups TO @extowner@ WITH GRANT OPTION;

CREATE FUNCTION erp._dead_letter_heading(number numeric) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN number > 0 THEN 'Dead letters: ' || erp._number(number) || CASE WHEN number > 1000 THEN ', of which the latest 1,000' ELSE '' END
                ELSE 'Dead letters' END;
COMMENT ON FUNCTION erp._dead_letter_heading(numeric) IS 'Private: the heading of dead letters by their errors';

-- In SQL, as the next one: what PL/pgSQL selects into a variable is not read by parallel workers.
CREATE FUNCTION erp._statuses() RETURNS erp.use_case_status[]
    LANGUAGE sql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_agg(s ORDER BY s.use_case), '{}') FROM erp.use_case_status AS s
$$;
COMMENT ON FUNCTION erp._statuses() IS 'Private: erp.use_case_status';

CREATE FUNCTION erp._queue() RETURNS erp.queue_status
    LANGUAGE sql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
AS $$
    SELECT q FROM erp.queue_status AS q
$$;
COMMENT ON FUNCTION erp._queue() IS 'Private: erp.queue_status';

CREATE FUNCTION erp._report_states(statuses erp.use_case_status[]) RETURNS text
    LANGUAGE sql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(format(E'%s  %s: %s\n%s', rpad(upper(s.state), 5), s.use_case, s.reason,
                                      '       ' || s.advice || E'\n'), ''
                               ORDER BY array_position('{red,amber}', s.state), s.use_case) FILTER (WHERE s.state <> 'green'), '')
           || coalesce(E'GREEN  ' || string_agg(s.use_case || CASE WHEN s.enabled THEN '' ELSE ' (disabled)' END, ', ' ORDER BY s.use_case)
                                     FILTER (WHERE s.state = 'green') || E'\n', '')
           || CASE WHEN count(*) = 0 THEN E'There is no use case yet.\n' ELSE '' END
    FROM unnest(statuses) AS s
$$;
COMMENT ON FUNCTION erp._report_states(erp.use_case_status[]) IS 'Private: the use cases by their states, the red ones first';

CREATE FUNCTION erp._queue_sentence(queue erp.queue_status) RETURNS text
    LANGUAGE sql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws('; ', 'the oldest event came in ' || erp._ago(queue.oldest_received_at),
                     CASE queue.workers WHEN 0 THEN 'no worker is at it right now'
                          ELSE erp._count(queue.workers, 'worker', 'workers') || ' in ' || erp._count(queue.lanes_busy, 'lane', 'lanes') END,
                     erp._count(queue.done_1m, 'event', 'events') || ' applied in the last minute',
                     'at this rate the inbox is empty in ' || CASE WHEN queue.waiting + queue.retrying > 0 THEN erp._duration(queue.time_left) END)
$$;
COMMENT ON FUNCTION erp._queue_sentence(erp.queue_status) IS 'Private: how the inbox gets on';

CREATE FUNCTION erp._report_text() RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statuses erp.use_case_status[] := erp._statuses();
    queue erp.queue_status := erp._queue();
    dead_letters numeric;
    page text;
    cells text[];
BEGIN
    page := 'erp_toolkit in ' || current_database() || to_char(statement_timestamp(), ', YYYY-MM-DD HH24:MI TZ') || E'\n\n'
            || erp._report_states(statuses);

    page := page || format(E'\nInbox: %s waiting, %s retrying, %s blocked, %s held\n  %s\n', erp._number(queue.waiting), erp._number(queue.retrying),
                           erp._count(queue.blocked_groups, 'group', 'groups'), erp._number(queue.held), erp._queue_sentence(queue));

    SELECT array_agg(ARRAY[s.use_case, erp._number(s.done_24h), erp._number(s.failed_24h), erp._percent(s.error_rate_24h),
                           trim(to_char(m.ms_per_event, '999990.000')), erp._ago(s.last_success_at)] ORDER BY s.use_case)
    INTO cells
    FROM unnest(statuses) AS s
    LEFT JOIN (SELECT t.use_case, sum(t.ms_per_event * t.events) / sum(t.events) AS ms_per_event FROM erp.slow_mappings AS t GROUP BY t.use_case) AS m
           ON m.use_case = s.use_case;
    page := page || erp._text_table('Last 24 hours', ARRAY['use case', ' applied', ' failed', ' error rate', ' ms/event', 'last success'], cells,
                                    'There is no use case.');

    SELECT array_agg(ARRAY[erp._number(e.failures), erp._ago(e.last_at), e.use_case, coalesce(e.code, e.sqlstate), e.example_event::text,
                           erp._line(e.message, 80)] ORDER BY e.failures DESC, e.last_at DESC)
    INTO cells
    FROM (SELECT * FROM erp.recent_errors ORDER BY failures DESC, last_at DESC LIMIT 10) AS e;
    page := page || erp._text_table('Errors of the last 24 hours, the most frequent first',
                                    ARRAY[' failures', 'last', 'use case', 'code', ' example event', 'message'], cells, 'None.');

    SELECT array_agg(ARRAY[erp._number(d.events), erp._ago(d.last_at), d.use_case, d.code, d.example_event::text, erp._line(d.message, 80), d.retry]
                     ORDER BY d.events DESC, d.last_at DESC), max(d.all_events)
    INTO cells, dead_letters FROM (SELECT * FROM erp._dead_letter_groups ORDER BY events DESC, last_at DESC LIMIT 10) AS d;
    RETURN page || erp._text_table(erp._dead_letter_heading(dead_letters),
                                   ARRAY[' events', 'last', 'use case', 'code', ' example event', 'message', 'mend the cause, then'], cells, 'None.');
END
$$;
COMMENT ON FUNCTION erp._report_text() IS 'Private: erp_report as text';
