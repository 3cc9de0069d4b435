-- The status page as one HTML document: styles and charts in it, no script, nothing from elsewhere.

CREATE FUNCTION erp._html(text text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN replace(replace(replace(replace(replace(regexp_replace(coalesce(text, ''), '[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]', ' ', 'g'),
           '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;');
COMMENT ON FUNCTION erp._html(text) IS 'Private: text as text in HTML, in attributes as well';

CREATE FUNCTION erp._html_style() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN $css$
:root { color-scheme: light dark; --page: #f6f7f9; --card: #ffffff; --text: #1c2128; --muted: #57606a; --line: #d9dee4;
  --bar: #3b74c4; --red: #c01c28; --amber: #8a5a00; --green: #1a7f37; --red-soft: #fde8e9; --amber-soft: #fff2d6; --green-soft: #e2f4e6; }
@media (prefers-color-scheme: dark) { :root { --page: #0f1319; --card: #181e26; --text: #e4e8ed; --muted: #9aa5b1; --line: #2c353f;
  --bar: #6ea3ec; --red: #ff7b78; --amber: #e3b341; --green: #56d36f; --red-soft: #3d1a1d; --amber-soft: #35290d; --green-soft: #12301b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.05rem; margin: 0 0 .75rem; }
header p, .note { color: var(--muted); margin: .25rem 0 0; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.25rem; margin-top: 1rem;
  overflow-x: auto; }
ul { list-style: none; margin: 0; padding: 0; }
.alerts li { border-left: 4px solid; border-radius: 4px; padding: .5rem .85rem; margin-top: .6rem; overflow-wrap: anywhere; }
.alerts .red { border-color: var(--red); background: var(--red-soft); } .alerts .amber { border-color: var(--amber); background: var(--amber-soft); }
.alerts .green { border-color: var(--green); background: var(--green-soft); }
code { font: .86em/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
.alerts code { display: block; margin-top: .15rem; } .alerts .state { background: none; padding: 0; margin-right: .4rem; text-transform: uppercase; }
.state { display: inline-block; border-radius: 999px; padding: .05rem .6rem; font-size: .8rem; font-weight: 600; white-space: nowrap; }
.state.red { color: var(--red); background: var(--red-soft); } .state.amber { color: var(--amber); background: var(--amber-soft); }
.state.green { color: var(--green); background: var(--green-soft); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: .75rem 1.5rem; margin: 0; }
.figures dt { color: var(--muted); font-size: .85rem; } .figures dd { margin: 0; font-size: 1.45rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.figures .red { color: var(--red); } .figures .amber { color: var(--amber); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1rem 2rem; }
figure { margin: 0; } figcaption { color: var(--muted); font-size: .85rem; margin-bottom: .3rem; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--muted); font-size: 10px; } svg line { stroke: var(--line); }
.done { fill: var(--bar); } .failed { fill: var(--red); } svg.spark { width: 7.5rem; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-size: .8rem; font-weight: 600; color: var(--muted); }
th, td { padding: .45rem .9rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top; } tr:last-child td { border-bottom: 0; }
td { overflow-wrap: break-word; } td span { overflow-wrap: anywhere; } .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
@media (max-width: 44rem) {
  main { padding: 1rem .6rem 2rem; } section { padding: .85rem .9rem; }
  table, tbody, tr, td { display: block; } thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { border-bottom: 1px solid var(--line); padding: .5rem 0; } tr:last-child { border-bottom: 0; }
  td, .n { border: 0; padding: .1rem 0; display: flex; justify-content: space-between; gap: 1rem; text-align: right; white-space: normal; }
  td > * { overflow-wrap: anywhere; min-width: 0; } td::before { content: attr(data-label); color: var(--muted); flex: none; text-align: left; }
  td.first { font-weight: 600; } figure { min-width: 0; } .charts { grid-template-columns: 1fr; } }
@media print { body { background: #fff; } section { break-inside: avoid; } }
$css$;
COMMENT ON FUNCTION erp._html_style() IS 'Private: the style sheet of the report';

-- A table; a heading that begins with a space is of numbers. Cells are HTML.
CREATE FUNCTION erp._html_table(heading text, headings text[], cells text[], otherwise text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('<section><h2>%s</h2>', erp._html(heading)) || CASE WHEN cells IS NULL THEN format('<p class="note">%s</p>', erp._html(otherwise))
        ELSE '<table><thead><tr>' || (SELECT string_agg(format('<th scope="col"%s>%s</th>', CASE WHEN h LIKE ' %' THEN ' class="n"' ELSE '' END, erp._html(trim(h))), '' ORDER BY n)
                                      FROM unnest(headings) WITH ORDINALITY AS u(h, n)) || E'</tr></thead>\n<tbody>'
             || (SELECT string_agg('<tr>' || r.cells || '</tr>', E'\n' ORDER BY r.l)
                 FROM (SELECT l, string_agg(format('<td data-label="%s"%s>%s</td>', erp._html(trim(headings[c])),
                                                   CASE WHEN headings[c] LIKE ' %' THEN ' class="n"' WHEN c = 1 THEN ' class="first"' ELSE '' END, cells[l][c]), '' ORDER BY c) AS cells
                       FROM generate_subscripts(cells, 1) AS l, generate_subscripts(cells, 2) AS c GROUP BY l) AS r)
             || '</tbody></table>' END || E'</section>\n'
$$;
COMMENT ON FUNCTION erp._html_table(text, text[], text[], text) IS 'Private: a section of the report with a table; otherwise: what is said without rows';

-- Columns for hours, as tall as their share of the highest.
CREATE FUNCTION erp._html_columns(counts bigint[], labels text[], class text, width integer, height integer) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(format('<rect class="%s" x="%s" y="%s" width="%s" height="%s" rx="%s"><title>%s</title></rect>',
               class, round((c.n - 1) * s.step + s.step * 0.12, 1), round(height - s.tall * c.count, 1), round(s.step * 0.76, 1),
               round(s.tall * c.count, 1), least(round(s.step * 0.15, 1), 2), erp._html(labels[c.n] || ': ' || erp._number(c.count))), '' ORDER BY c.n), '')
    FROM unnest(counts) WITH ORDINALITY AS c(count, n)
    CROSS JOIN (SELECT width::numeric / cardinality(counts) AS step, height::numeric / greatest(max(m), 1) AS tall FROM unnest(counts) AS m) AS s
    WHERE c.count > 0
$$;
COMMENT ON FUNCTION erp._html_columns(bigint[], text[], text, integer, integer) IS 'Private: the columns of a chart';

CREATE FUNCTION erp._html_chart(title text, hours timestamptz[], counts bigint[], class text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most bigint := (SELECT max(c) FROM unnest(counts) AS c);
    sentence text := format('%s: %s in all, at most %s in an hour', title, erp._number((SELECT sum(c) FROM unnest(counts) AS c)), erp._number(most));
BEGIN
    RETURN format('<figure><figcaption>%s</figcaption><svg viewBox="0 0 480 150" role="img" aria-label="%s"><title>%s</title>',
                  erp._html(title), erp._html(sentence), erp._html(sentence))
        || '<line x1="0" y1="14" x2="480" y2="14" stroke-dasharray="2 3"/>' || format('<text x="0" y="10">%s</text>', erp._number(most))
        || '<g transform="translate(0 14)">'
        || erp._html_columns(counts, ARRAY(SELECT to_char(h, 'HH24:MI') FROM unnest(hours) WITH ORDINALITY AS u(h, n) ORDER BY n), class, 480, 116)
        || '</g><line x1="0" y1="130" x2="480" y2="130"/>'
        || (SELECT string_agg(format('<text x="%s" y="143">%s</text>', (n - 1) * 20, to_char(h, 'HH24:MI')), '' ORDER BY n)
            FROM unnest(hours) WITH ORDINALITY AS u(h, n) WHERE n % 6 = 1)
        || '</svg></figure>';
END
$$;
COMMENT ON FUNCTION erp._html_chart(text, timestamptz[], bigint[], text) IS 'Private: a chart of the last 24 hours';

CREATE FUNCTION erp._html_state(state text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN format('<span class="state %s">%s</span>', state, state);
COMMENT ON FUNCTION erp._html_state(text) IS 'Private: a state, in its colour and as a word';

CREATE FUNCTION erp._html_alerts(statuses erp.use_case_status[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '<ul class="alerts">' || coalesce(string_agg(
               format(E'<li class="%s">%s <strong>%s</strong> %s<code>%s</code></li>\n',
                      s.state, erp._html_state(s.state), erp._html(s.use_case), erp._html(s.reason), erp._html(s.advice)), ''
               ORDER BY array_position('{red,amber}', s.state), s.use_case) FILTER (WHERE s.state <> 'green'),
               CASE WHEN count(*) = 0 THEN '<li class="green">There is no use case yet.</li>' ELSE '<li class="green">Nothing is wrong.</li>' END)
           || E'</ul>\n'
    FROM unnest(statuses) AS s
$$;
COMMENT ON FUNCTION erp._html_alerts(erp.use_case_status[]) IS 'Private: what is red first, and what to do';

CREATE FUNCTION erp._html_queue(queue erp.queue_status) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '<section><h2>Inbox</h2><dl class="figures">'
        || (SELECT string_agg(format('<div><dt>%s</dt><dd%s>%s</dd></div>', f.name, CASE WHEN f.class IS NULL THEN '' ELSE format(' class="%s"', f.class) END, f.figure), '' ORDER BY f.n)
            FROM (VALUES (1, 'waiting', NULL, erp._number(queue.waiting)),
                         (2, 'retrying', CASE WHEN queue.retrying > 0 THEN 'amber' END, erp._number(queue.retrying)),
                         (3, 'blocked groups', CASE WHEN queue.blocked_groups > 0 THEN 'red' END, erp._number(queue.blocked_groups)),
                         (4, 'held', CASE WHEN queue.held > 0 THEN 'amber' END, erp._number(queue.held)),
                         (5, 'lag', NULL, coalesce(erp._duration(queue.lag), '–')),
                         (6, 'applied in a minute', NULL, erp._number(queue.done_1m))) AS f(n, name, class, figure))
        || format(E'</dl><p class="note">%s.</p></section>\n', erp._html(regexp_replace(erp._queue_sentence(queue), '^the', 'The')))
$$;
COMMENT ON FUNCTION erp._html_queue(erp.queue_status) IS 'Private: the inbox in figures';

CREATE FUNCTION erp._html_activity(activity erp.hourly_activity[]) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(E'<section><h2>Last 24 hours</h2><div class="charts">%s%s</div></section>\n',
                  erp._html_chart('Events applied, by the hour', array_agg(a.hour ORDER BY a.hour), array_agg(a.done ORDER BY a.hour), 'done'),
                  erp._html_chart('Attempts that failed, by the hour', array_agg(a.hour ORDER BY a.hour), array_agg(a.failed ORDER BY a.hour), 'failed'))
    FROM (SELECT h.hour, sum(h.done)::bigint AS done, sum(h.failed)::bigint AS failed FROM unnest(activity) AS h GROUP BY h.hour) AS a
    HAVING count(*) > 0
$$;
COMMENT ON FUNCTION erp._html_activity(erp.hourly_activity[]) IS 'Private: charts of the last 24 hours';

CREATE FUNCTION erp._html_use_cases(statuses erp.use_case_status[], activity erp.hourly_activity[]) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT erp._html_table('Use cases', '{use case,state," waiting"," dead letters"," applied, 24 h"," failed, 24 h"," ms/event"," last success","by the hour"}',
        array_agg(ARRAY[erp._html(s.use_case), erp._html_state(s.state), erp._number(s.waiting + s.retrying + s.held), erp._number(s.dead_letters),
                        erp._number(s.done_24h), erp._number(s.failed_24h), coalesce(trim(to_char(m.ms_per_event, '999990.00')), '–'),
                        coalesce(erp._ago(s.last_success_at), 'never'),
                        format('<svg class="spark" viewBox="0 0 120 24" role="img" aria-label="%s events applied in 24 hours">%s<line x1="0" y1="23.5" x2="120" y2="23.5"/></svg>',
                               erp._number(s.done_24h), erp._html_columns(a.done, a.labels, 'done', 120, 23))] ORDER BY s.use_case),
        'There is none yet.')
    FROM unnest(statuses) AS s
    LEFT JOIN (SELECT t.use_case, sum(t.ms_per_event * t.events) / sum(t.events) AS ms_per_event FROM erp.slow_mappings AS t GROUP BY t.use_case) AS m
           ON m.use_case = s.use_case
    JOIN (SELECT h.use_case, array_agg(h.done ORDER BY h.hour) AS done, array_agg(to_char(h.hour, 'HH24:MI') ORDER BY h.hour) AS labels
          FROM unnest(activity) AS h GROUP BY h.use_case) AS a ON a.use_case = s.use_case
$$;
COMMENT ON FUNCTION erp._html_use_cases(erp.use_case_status[], erp.hourly_activity[]) IS 'Private: the use cases in figures';

CREATE FUNCTION erp._html_errors() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT erp._html_table('Errors of the last 24 hours, the most frequent first', '{use case," failures",code,message," example event"," last"}',
        array_agg(ARRAY[erp._html(e.use_case), erp._number(e.failures), format('<code>%s</code>', erp._html(coalesce(e.code, e.sqlstate))),
                        format('<span>%s</span>', erp._html(erp._line(e.message, 300))), e.example_event::text, erp._ago(e.last_at)]
                  ORDER BY e.failures DESC, e.last_at DESC),
        'None.')
    FROM (SELECT * FROM erp.recent_errors ORDER BY failures DESC, last_at DESC LIMIT 20) AS e
$$;
COMMENT ON FUNCTION erp._html_errors() IS 'Private: errors by their number';

CREATE FUNCTION erp._html_dead_letters() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT erp._html_table(erp._dead_letter_heading(max(d.all_events)), '{use case," events",code,message," example event"," last","mend the cause, then"}',
        array_agg(ARRAY[erp._html(d.use_case), erp._number(d.events), format('<code>%s</code>', erp._html(d.code)),
                        format('<span>%s</span>', erp._html(erp._line(d.message, 300))), d.example_event::text,
                        erp._ago(d.last_at), format('<code>%s</code>', erp._html(d.retry))] ORDER BY d.events DESC, d.last_at DESC),
        'None.')
    FROM (SELECT * FROM erp._dead_letter_groups ORDER BY events DESC, last_at DESC LIMIT 20) AS d
$$;
COMMENT ON FUNCTION erp._html_dead_letters() IS 'Private: dead letters by their errors';

CREATE FUNCTION erp._report_html() RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statuses erp.use_case_status[] := erp._statuses();
    activity erp.hourly_activity[] := ARRAY(SELECT a FROM erp.hourly_activity AS a);
    queue erp.queue_status := erp._queue();
    worst text := coalesce((SELECT min(s.state) FROM unnest(statuses) AS s WHERE s.state <> 'green' AND s.state = 'red'),
                           (SELECT min(s.state) FROM unnest(statuses) AS s WHERE s.state = 'amber'), 'green');
    title text := 'erp_toolkit in ' || current_database();
BEGIN
    RETURN E'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        || E'<meta http-equiv="Content-Security-Policy" content="default-src ''none''; style-src ''unsafe-inline''"/>\n'
        || format(E'<title>%s: %s</title><style>%s</style></head>\n<body><main>\n', erp._html(title), worst, erp._html_style())
        || format(E'<header><h1>%s %s</h1><p>%s</p></header>\n', erp._html(title), erp._html_state(worst),
                  to_char(statement_timestamp(), 'YYYY-MM-DD HH24:MI TZ'))
        || erp._html_alerts(statuses) || erp._html_queue(queue) || coalesce(erp._html_activity(activity), '') || erp._html_use_cases(statuses, activity)
        || erp._html_errors() || erp._html_dead_letters()
        || E'</main></body></html>\n';
END
$$;
COMMENT ON FUNCTION erp._report_html() IS 'Private: erp_report as HTML';
