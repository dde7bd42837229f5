#include "profiler/profile_routing_private.h"

#include "models/json.h"

#include <string.h>

/* ---- queries ---- */

static sqlite3_stmt *
plan_query(moe_profile_writer *w, const char *sql, int64_t pid)
{
    sqlite3_stmt *statement = NULL;
    if (moe_profile_writer_failed(w))
        return NULL;
    if (sqlite3_prepare_v2(moe_profile_writer_database(w), sql, -1, &statement, NULL) !=
            SQLITE_OK ||
        (pid != MOE_PROFILE_NULL && sqlite3_bind_int64(statement, 1, pid) != SQLITE_OK))
        moe_profile_writer_fail(w);
    return statement;
}

static bool
plan_next(moe_profile_writer *w, sqlite3_stmt *statement)
{
    int code = statement ? sqlite3_step(statement) : SQLITE_DONE;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        moe_profile_writer_fail(w);
    return code == SQLITE_ROW;
}

static int64_t
plan_number(moe_profile_writer *w, const char *sql)
{
    sqlite3_stmt *statement = plan_query(w, sql, MOE_PROFILE_NULL);
    int64_t number = plan_next(w, statement) ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return number;
}

static char *
plan_text(moe_profile_writer *w, const char *sql)
{
    sqlite3_stmt *statement = plan_query(w, sql, MOE_PROFILE_NULL);
    char *text =
        plan_next(w, statement) ? g_strdup((const char *)sqlite3_column_text(statement, 0)) : NULL;
    sqlite3_finalize(statement);
    return text;
}

/* ---- processes ---- */

typedef struct plan_process {
    int64_t pid;
    uint64_t rows;
    uint8_t layers[MOE_ROUTING_MAX_LAYERS], nonzero[MOE_ROUTING_MAX_LAYERS];
    GChecksum *sum;
    char digest[65];
} plan_process;

static bool
plan_any(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i])
            return true;
    return false;
}

/* Reads all that a process routed, once. */
static void
plan_read(moe_profile_writer *w, plan_process *p)
{
    sqlite3_stmt *rows = plan_query(w,
                                    "SELECT step, layer, token0, tokens, k, ids FROM routing"
                                    " WHERE pid = ? ORDER BY step, layer, token0",
                                    p->pid);
    p->sum = g_checksum_new(G_CHECKSUM_SHA256);
    while (plan_next(w, rows)) {
        int64_t head[5];
        const uint8_t *ids = sqlite3_column_blob(rows, 5);
        size_t bytes = (size_t)sqlite3_column_bytes(rows, 5);
        for (int i = 0; i < 5; i++)
            head[i] = sqlite3_column_int64(rows, i);
        g_checksum_update(p->sum, (const guchar *)head, sizeof head);
        g_checksum_update(p->sum, ids, (gssize)bytes);
        p->rows += (uint64_t)head[3];
        if (head[1] < 0 || head[1] >= MOE_ROUTING_MAX_LAYERS)
            continue;
        p->layers[head[1]] = 1;
        p->nonzero[head[1]] |= plan_any(ids, bytes);
    }
    sqlite3_finalize(rows);
    g_strlcpy(p->digest, g_checksum_get_string(p->sum), sizeof p->digest);
    g_checksum_free(p->sum);
}

/* An engine that records nothing leaves zeros behind: expert 0, k times. */
static void
plan_zero_layers(moe_profile_writer *w, plan_process *p)
{
    enum { FEW = 16 }; /* rows that may go to expert 0 by chance */
    for (uint32_t l = 0; l < MOE_ROUTING_MAX_LAYERS; l++) {
        if (!p->layers[l] || p->nonzero[l] || p->rows < FEW)
            continue;
        moe_profile_note(w, p->pid, MOE_PROFILE_NULL, "route_zero", 1,
                         "layer %u has no routing: every id is zero", l);
        p->layers[l] = 0;
    }
}

static void
plan_free_group(gpointer data)
{
    moe_routing_group *group = data;
    g_array_unref(group->pids);
    g_free(group);
}

/* Where a process belongs: a group that has none of its layers and as many steps, or a new one. */
static void
plan_group(moe_routing_plan *plan, const plan_process *p)
{
    moe_routing_group *home = NULL;
    for (guint g = 0; g < plan->groups->len && !home; g++) {
        moe_routing_group *group = plan->groups->pdata[g];
        bool apart = true;
        for (uint32_t l = 0; l < MOE_ROUTING_MAX_LAYERS && apart; l++)
            apart = !(group->layers[l] && p->layers[l]);
        home = apart ? group : NULL;
    }
    if (!home) {
        home = g_new0(moe_routing_group, 1);
        home->pids = g_array_new(FALSE, FALSE, sizeof(int64_t));
        g_ptr_array_add(plan->groups, home);
    }
    g_array_append_val(home->pids, p->pid);
    home->rows += p->rows;
    for (uint32_t l = 0; l < MOE_ROUTING_MAX_LAYERS; l++)
        home->layers[l] |= p->layers[l];
}

static void
plan_processes(moe_profile_writer *w, moe_routing_plan *plan)
{
    sqlite3_stmt *pids =
        plan_query(w, "SELECT DISTINCT pid FROM routing ORDER BY pid", MOE_PROFILE_NULL);
    g_autoptr(GHashTable) digests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    uint32_t n = 0;
    for (; plan_next(w, pids); n++) {
        g_autofree plan_process *p = g_new0(plan_process, 1);
        p->pid = sqlite3_column_int64(pids, 0);
        plan_read(w, p);
        plan_zero_layers(w, p);
        if (!plan_any(p->layers, sizeof p->layers))
            continue;
        if (g_hash_table_contains(digests, p->digest)) {
            plan->merged++;
            continue;
        }
        g_hash_table_add(digests, g_strdup(p->digest));
        plan_group(plan, p);
    }
    sqlite3_finalize(pids);
    if (n > 1)
        moe_profile_note(w, MOE_PROFILE_NULL, MOE_PROFILE_NULL, "route_merged", 1,
                         "%u processes recorded routing: %u routed what another one did and are "
                         "left out, the others are %u groups with sequences of their own",
                         n, plan->merged, plan->groups->len);
}

/* ---- the model ---- */

static void
plan_model(moe_profile_writer *w, moe_routing_plan *plan)
{
    const char *text = moe_profile_meta_value(w, "model");
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(cJSON) json = text ? moe_json_parse("model", text, strlen(text), diag) : NULL;
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(json, "name");
    const cJSON *engine = cJSON_GetObjectItemCaseSensitive(json, "engine");
    const cJSON *experts = cJSON_GetObjectItemCaseSensitive(json, "experts");
    plan->model = g_strdup(cJSON_IsString(name) ? name->valuestring : NULL);
    plan->engine = g_strdup(cJSON_IsString(engine) ? engine->valuestring : NULL);
    plan->hardware = plan_text(w, "SELECT name FROM device WHERE name IS NOT NULL"
                                  " ORDER BY pid, device LIMIT 1");
    int64_t largest = plan_number(w, "SELECT max(expert) FROM load");
    plan->n_experts = (uint32_t)MIN(largest + 1, (int64_t)MOE_ROUTING_MAX_EXPERTS);
    if (!cJSON_IsNumber(experts))
        return;
    plan->told_experts =
        experts->valuedouble >= plan->k && experts->valuedouble <= MOE_ROUTING_MAX_EXPERTS;
    if (plan->told_experts)
        plan->n_experts = (uint32_t)experts->valuedouble;
    else
        moe_profile_note(w, MOE_PROFILE_NULL, MOE_PROFILE_NULL, "route_invalid", 1,
                         "the model is said to have %g experts", experts->valuedouble);
}

static void
plan_layers(moe_routing_plan *plan)
{
    for (uint32_t l = 0; l < MOE_ROUTING_MAX_LAYERS; l++) {
        bool routed = false;
        for (guint g = 0; g < plan->groups->len; g++)
            routed |= ((const moe_routing_group *)plan->groups->pdata[g])->layers[l] != 0;
        plan->layer_index[l] = routed ? plan->n_layers : MOE_NONE;
        if (routed)
            plan->layer_ids[plan->n_layers++] = l;
    }
}

static void
plan_steps(moe_profile_writer *w, moe_routing_plan *plan)
{
    sqlite3_stmt *steps =
        plan_query(w, "SELECT DISTINCT step FROM routing ORDER BY step", MOE_PROFILE_NULL);
    while (plan_next(w, steps)) {
        int64_t step = sqlite3_column_int64(steps, 0);
        g_array_append_val(plan->steps, step);
    }
    sqlite3_finalize(steps);
}

/* A trace has a cell for every token, layer and rank: of routing that is mostly holes it would be
 * far larger than what was recorded. */
static bool
plan_absurd(moe_profile_writer *w, const moe_routing_plan *plan)
{
    enum { RATIO = 16 };
    const double few = 1e9;
    uint64_t rows = 0; /* summed over layers: too many by their number, as is the right side */
    for (guint g = 0; g < plan->groups->len; g++)
        rows += ((const moe_routing_group *)plan->groups->pdata[g])->rows;
    double most = (double)rows * plan->n_layers * plan->k;
    double cells = (double)plan_number(w, "SELECT sum(tokens * k) FROM routing");
    if (most < few || most < cells * RATIO * plan->n_layers)
        return false;
    moe_profile_note(w, MOE_PROFILE_NULL, MOE_PROFILE_NULL, "route_gap", 1,
                     "no trace was written: of %u layers and %u experts per token nearly all are "
                     "missing",
                     plan->n_layers, plan->k);
    return true;
}

moe_routing_plan *
moe_routing_plan_new(moe_profile_writer *w)
{
    g_autoptr(moe_routing_plan) plan = g_new0(moe_routing_plan, 1);
    plan->groups = g_ptr_array_new_with_free_func(plan_free_group);
    plan->steps = g_array_new(FALSE, FALSE, sizeof(int64_t));
    plan_processes(w, plan);
    if (moe_profile_writer_failed(w) || plan->groups->len == 0)
        return NULL;
    plan_layers(plan);
    plan->k = (uint32_t)plan_number(w, "SELECT max(k) FROM routing");
    plan_model(w, plan);
    plan_steps(w, plan);
    plan->weights = !plan_number(w, "SELECT EXISTS(SELECT 1 FROM routing WHERE weights IS NULL)");
    plan->token_ids =
        plan_number(w, "SELECT EXISTS(SELECT 1 FROM token)") &&
        !plan_number(w, "SELECT EXISTS(SELECT 1 FROM token WHERE token_id IS NULL)") &&
        !plan_number(w, "SELECT EXISTS(SELECT 1 FROM (SELECT DISTINCT pid, step FROM routing) AS r"
                        " WHERE NOT EXISTS(SELECT 1 FROM token AS t"
                        " WHERE t.pid = r.pid AND t.step = r.step))");
    if (plan_number(w, "SELECT min(k) <> max(k) FROM routing"))
        moe_profile_note(w, MOE_PROFILE_NULL, MOE_PROFILE_NULL, "route_shape", 1, NULL);
    if (plan_absurd(w, plan))
        return NULL;
    bool empty = plan->k == 0 || plan->k > MOE_ROUTING_MAX_K || plan->n_experts == 0;
    return moe_profile_writer_failed(w) || empty ? NULL : g_steal_pointer(&plan);
}

void
moe_routing_plan_free(moe_routing_plan *plan)
{
    if (!plan)
        return;
    g_ptr_array_unref(plan->groups);
    g_array_unref(plan->steps);
    g_free(plan->model);
    g_free(plan->engine);
    g_free(plan->hardware);
    g_free(plan);
}
