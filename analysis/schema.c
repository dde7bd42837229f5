#include "analysis/schema.h"

#include <glib.h>
#include <string.h>

#define TABLE_COLUMNS(table, keys, help, ...)                                                      \
    static const moe_column table##_columns[] = {__VA_ARGS__};
MOE_SCHEMA(TABLE_COLUMNS)

#define TABLE_ROW(table, keys, help, ...)                                                          \
    {#table, help, keys, MOE_COUNT(table##_columns), table##_columns},
static const moe_table tables[] = {MOE_SCHEMA(TABLE_ROW)};

/* What was measured of traces; layer -1: whole model, low and high NULL: no interval. */
#define STATISTIC_TABLE                                                                            \
    "CREATE TABLE trace_statistic(\n"                                                              \
    "  trace TEXT NOT NULL, selection TEXT NOT NULL, statistic TEXT NOT NULL,\n"                   \
    "  layer INTEGER NOT NULL, parameter TEXT NOT NULL, value REAL NOT NULL,\n"                    \
    "  low REAL, high REAL, unit TEXT NOT NULL,\n"                                                 \
    "  PRIMARY KEY(trace, selection, statistic, layer, parameter)) WITHOUT ROWID;\n"

/* Measured times and what was foretold of them (moesim validate), in microseconds, and the errors
 * by family and regime, as shares. */
#define VALIDATION_TABLES                                                                          \
    "CREATE TABLE validation_row(\n"                                                               \
    "  machine TEXT NOT NULL, kernels TEXT NOT NULL, fit TEXT NOT NULL, family TEXT NOT NULL,\n"   \
    "  file TEXT NOT NULL, line INTEGER NOT NULL, kernel TEXT NOT NULL, kind TEXT NOT NULL,\n"     \
    "  shape TEXT NOT NULL, measured_us REAL NOT NULL, predicted_us REAL, roofline_us REAL,\n"     \
    "  merged INTEGER NOT NULL, fitted INTEGER NOT NULL, bound TEXT NOT NULL,\n"                   \
    "  odd TEXT NOT NULL,\n"                                                                       \
    "  PRIMARY KEY(machine, kernels, fit, family, file, line, kernel)) WITHOUT ROWID;\n"           \
    "CREATE TABLE validation_error(\n"                                                             \
    "  machine TEXT NOT NULL, kernels TEXT NOT NULL, fit TEXT NOT NULL, family TEXT NOT NULL,\n"   \
    "  dimension TEXT NOT NULL, label TEXT NOT NULL, rows INTEGER NOT NULL, mean REAL,\n"          \
    "  median REAL, p90 REAL, bias REAL, roofline REAL,\n"                                         \
    "  PRIMARY KEY(machine, kernels, fit, family, dimension, label)) WITHOUT ROWID;\n"             \
    "CREATE VIEW v_validation AS SELECT *, predicted_us / measured_us - 1 AS error\n"              \
    "  FROM validation_row ORDER BY max(predicted_us / measured_us, measured_us / predicted_us) "  \
    "DESC;\n"                                                                                      \
    "CREATE VIEW v_validation_error AS SELECT machine, kernels, fit, family, rows, mean,\n"        \
    "  median, p90, bias, roofline FROM validation_error WHERE dimension = 'all'\n"                \
    "  ORDER BY machine, family;\n"

/* What is not filled by moe_result_add: the run itself (counterfactual: 1 when its routing was
 * transformed beyond a choice of tokens); the text of the scenario it was made from,
 * which with its overrides and the swept keys (`parameter`) says the run again; and what a scenario
 * expected of its runs. An expectation that got NULL could not be evaluated (`note` says why). */
static const char fixed_tables[] =
    "CREATE TABLE run(\n"
    "  identity TEXT NOT NULL PRIMARY KEY, scenario TEXT NOT NULL, path TEXT NOT NULL,\n"
    "  version TEXT NOT NULL, semantics INTEGER NOT NULL, seed INTEGER NOT NULL,\n"
    "  source TEXT NOT NULL REFERENCES source(hash), host TEXT NOT NULL,\n"
    "  wall_s REAL NOT NULL, counterfactual INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;\n"
    "CREATE TABLE source(\n"
    "  hash TEXT NOT NULL PRIMARY KEY, overrides TEXT NOT NULL, text TEXT NOT NULL)\n"
    "  WITHOUT ROWID;\n"
    "CREATE TABLE expectation(\n"
    "  scenario TEXT NOT NULL, number INTEGER NOT NULL, pair INTEGER NOT NULL,\n"
    "  metric TEXT NOT NULL, of TEXT NOT NULL, over TEXT NOT NULL, agg TEXT NOT NULL,\n"
    "  expected REAL NOT NULL, within REAL NOT NULL, bound TEXT NOT NULL, got REAL,\n"
    "  verdict TEXT NOT NULL, basis TEXT NOT NULL, source TEXT NOT NULL, note TEXT NOT NULL,\n"
    "  PRIMARY KEY(scenario, number, pair)) WITHOUT ROWID;\n" STATISTIC_TABLE VALIDATION_TABLES;

/* v_metric: every metric with its run's swept keys as one text.
 * v_blame: blame as a share of the run's whole device time.
 * v_speedup: pairs of runs of one scenario that differ in exactly one swept key. */
static const char views[] =
    "CREATE VIEW v_run AS SELECT r.*, coalesce((SELECT group_concat(key || '=' || value, ' ')\n"
    "  FROM (SELECT key, value FROM parameter WHERE run = r.identity ORDER BY key)), '')\n"
    "  AS parameters FROM run r;\n"
    "CREATE VIEW v_metric AS SELECT r.scenario, r.parameters, r.seed, m.name, m.value, m.unit,\n"
    "  m.contention_free, m.perfect_cache, m.roofline, r.counterfactual, m.run\n"
    "  FROM metric m JOIN v_run r ON r.identity = m.run;\n"
    "CREATE VIEW v_blame AS SELECT r.scenario, r.parameters, b.device, b.kind, b.cause,\n"
    "  b.ps, b.ps * 1.0 / nullif((SELECT sum(ps) FROM blame WHERE run = b.run), 0) AS share,\n"
    "  b.run FROM blame b JOIN v_run r ON r.identity = b.run;\n"
    "CREATE VIEW v_speedup AS SELECT a.scenario, p.key, p.value AS of, q.value AS over,\n"
    "  m.name, m.value / nullif(n.value, 0) AS ratio, m.value AS value_of,\n"
    "  n.value AS value_over, a.identity AS run_of, b.identity AS run_over\n"
    "  FROM run a JOIN run b ON b.scenario = a.scenario AND b.identity <> a.identity\n"
    "  JOIN parameter p ON p.run = a.identity\n"
    "  JOIN parameter q ON q.run = b.identity AND q.key = p.key AND q.value <> p.value\n"
    "  JOIN metric m ON m.run = a.identity\n"
    "  JOIN metric n ON n.run = b.identity AND n.name = m.name\n"
    "  WHERE NOT EXISTS (SELECT 1 FROM parameter x LEFT JOIN parameter y\n"
    "    ON y.run = b.identity AND y.key = x.key\n"
    "    WHERE x.run = a.identity AND x.key <> p.key AND y.value IS NOT x.value);\n";

/* Row v takes version v to v + 1; version 1 is the first there was. */
static const char *const upgrades[MOE_SCHEMA_VERSION + 1] = {
    [1] = "ALTER TABLE run ADD COLUMN counterfactual INTEGER NOT NULL DEFAULT 0;\n"
          "DROP VIEW v_metric;\n"
          "CREATE VIEW v_metric AS SELECT r.scenario, r.parameters, r.seed, m.name, m.value,\n"
          "  m.unit, m.contention_free, m.perfect_cache, m.roofline, r.counterfactual, m.run\n"
          "  FROM metric m JOIN v_run r ON r.identity = m.run;\n",
    [2] = STATISTIC_TABLE,
    [3] = "CREATE TABLE timeline(\n"
          "  run TEXT NOT NULL REFERENCES run(identity), event INTEGER NOT NULL, kind TEXT NOT "
          "NULL,\n"
          "  server TEXT, link TEXT, name TEXT NOT NULL, step INTEGER NOT NULL, layer INTEGER,\n"
          "  expert INTEGER, start_ps INTEGER NOT NULL, end_ps INTEGER NOT NULL, bytes INTEGER,\n"
          "  PRIMARY KEY(run, event)) WITHOUT ROWID;\n",
    [4] = "CREATE TABLE energy(\n"
          "  run TEXT NOT NULL REFERENCES run(identity), phase TEXT NOT NULL, part TEXT NOT NULL,\n"
          "  name TEXT NOT NULL, uj INTEGER NOT NULL,\n"
          "  PRIMARY KEY(run, phase, part, name)) WITHOUT ROWID;\n",
    [5] = VALIDATION_TABLES,
};

const moe_table *
moe_schema_tables(size_t *n)
{
    *n = MOE_COUNT(tables);
    return tables;
}

const moe_table *
moe_schema_find(const char *name)
{
    for (size_t i = 0; i < MOE_COUNT(tables); i++)
        if (!strcmp(tables[i].name, name))
            return &tables[i];
    return NULL;
}

static void
append_table(GString *sql, const moe_table *table)
{
    g_string_append_printf(sql, "CREATE TABLE %s(\n  run TEXT NOT NULL REFERENCES run(identity)",
                           table->name);
    for (size_t i = 0; i < table->n_columns; i++)
        g_string_append_printf(sql, ", %s %s", table->columns[i].name, table->columns[i].type);
    g_string_append(sql, ",\n  PRIMARY KEY(run");
    for (size_t i = 0; i < table->n_keys; i++)
        g_string_append_printf(sql, ", %s", table->columns[i].name);
    g_string_append(sql, ")) WITHOUT ROWID;\n");
}

char *
moe_schema_create(void)
{
    GString *sql = g_string_new(fixed_tables);
    for (size_t i = 0; i < MOE_COUNT(tables); i++)
        append_table(sql, &tables[i]);
    g_string_append(sql, views);
    g_string_append_printf(sql, "PRAGMA application_id = %d;\nPRAGMA user_version = %d;\n",
                           MOE_SCHEMA_APPLICATION, MOE_SCHEMA_VERSION);
    return g_string_free(sql, FALSE);
}

const char *
moe_schema_upgrade(int version)
{
    moe_assert(version >= 1 && version <= MOE_SCHEMA_VERSION, "schema version %d", version);
    return upgrades[version];
}
