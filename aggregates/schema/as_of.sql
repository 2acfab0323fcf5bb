-- The schema `as_of`: the views of figures once more, over what windows and catalogue were at the moment of the setting
-- `stadspuls.as_of`. A session that looks there first has its answers as the hub knew them then:
--     SET search_path = as_of, public; SET stadspuls.as_of = '2026-06-01'; SELECT * FROM sensor_1d;
-- Made anew where what it is made of has changed.
DO $$
DECLARE
    views  text[] := ARRAY['aggregate_1h', 'aggregate_1d', 'sensor_alone_1h', 'sensor_alone_1d', 'sensor_computed_1h',
        'sensor_computed_1d', 'sensor_several_1h', 'sensor_several_1d', 'sensor_1h', 'sensor_1d', 'area_numbered_1h',
        'area_numbered_1d', 'area_panel_1h', 'area_panel_1d', 'area_hour', 'area_day'];
    texts  text[];
    made   text;
    path   text := current_setting('search_path');
BEGIN
    SELECT array_agg(format('CREATE VIEW as_of.%I AS %s', name, pg_get_viewdef(('public.' || name)::regclass)) ORDER BY nr)
    INTO texts FROM unnest(views) WITH ORDINALITY v (name, nr);
    -- The evidence of groups, out of that of their members; sensors with several series have none stored there.
    texts := ARRAY[$of_hours$
        CREATE VIEW as_of.sensor_evidence_1h AS
        WITH figures AS ({rolled_group_hours}), {combine_channels} SELECT {evidence_of_sensors} FROM sensors
    $of_hours$, $of_days$
        CREATE VIEW as_of.sensor_evidence_1d AS
        WITH figures AS ({rolled_group_days}), {combine_channels} SELECT {evidence_of_sensors} FROM sensors
    $of_days$] || texts;
    -- The tables of windows, as they were.
    SELECT array_agg(format(
        'CREATE VIEW as_of.%1$I AS SELECT %2$s FROM public.%1$I WHERE coalesce(since, computed_at) <= as_of.moment()'
        ' UNION ALL SELECT %2$s FROM public.%3$I WHERE since <= as_of.moment() AND until > as_of.moment()',
        name, string_agg, name || '_version')) || texts INTO texts
    FROM unnest(ARRAY['window_1h', 'window_1d', 'area_1h', 'area_1d']) name CROSS JOIN LATERAL (
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = ('public.' || name)::regclass AND attnum > 0 AND NOT attisdropped) c;
    -- The catalogue as it was.
    SELECT array_agg(format(
        'CREATE VIEW as_of.%1$I AS SELECT %2$s FROM public.%1$I t LEFT JOIN (SELECT DISTINCT ON (key) key, was FROM'
        ' public.catalogue_version WHERE kind = %1$L AND until > as_of.moment() ORDER BY key, until) v ON v.key = t.%3$I::text%4$s',
        kind, string_agg, key, CASE kind WHEN 'series' THEN ' WHERE t.made_at IS NULL OR t.made_at <= as_of.moment()' END))
        || texts INTO texts
    FROM (VALUES ('sensor', 'sensor_id', ARRAY['lanes', 'channels']), ('series', 'series', ARRAY['alone']),
                 ('source', 'source', ARRAY['channels']),
                 ('quantity', 'quantity', ARRAY['aggregation', 'zone', 'coverage', 'hours', 'channels'])) k (kind, key, changing)
    CROSS JOIN LATERAL (
        SELECT string_agg(CASE WHEN attname = 'stored' THEN $stored$t.sensor_id LIKE 'group/%' AS stored$stored$ WHEN attname = ANY (changing) THEN format(
            'CASE WHEN v.was IS NULL THEN t.%1$I ELSE (jsonb_populate_record(NULL::public.%2$I, v.was)).%1$I END AS %1$I',
            attname, kind) ELSE format('t.%I', attname) END, ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = ('public.' || kind)::regclass AND attnum > 0 AND NOT attisdropped) c;
    made := 'made by stadspuls of ' || md5(array_to_string(texts, ';'));
    IF obj_description(to_regclass('as_of.area_day'), 'pg_class') = made THEN
        RETURN;
    END IF;
    DROP SCHEMA IF EXISTS as_of CASCADE;
    CREATE SCHEMA as_of;
    CREATE FUNCTION as_of.moment() RETURNS timestamptz STABLE LANGUAGE sql
        RETURN current_setting('stadspuls.as_of')::timestamptz;
    CREATE FUNCTION as_of.closed_until() RETURNS timestamptz IMMUTABLE LANGUAGE sql  -- none is served of 5-minute rows
        RETURN 'infinity'::timestamptz;
    PERFORM set_config('search_path', 'as_of, public', true);
    FOREACH made IN ARRAY texts LOOP
        EXECUTE made;
    END LOOP;
    PERFORM set_config('search_path', path, true);
    EXECUTE format('COMMENT ON VIEW as_of.area_day IS %L', 'made by stadspuls of ' || md5(array_to_string(texts, ';')));
END $$;
