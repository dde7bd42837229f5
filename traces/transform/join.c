#include "traces/transform/join.h"

#include "traces/index_map.h"
#include "traces/routing_file.h"
#include "traces/transform/transform.h"

#include <string.h>

/* Names of one kind (domains, modalities) over all files. */
typedef struct join_names {
    const char *key; /* of the metadata */
    bool kept, named;
    GPtrArray *names;  /* of the result */
    uint32_t **number; /* per file: its numbers -> the result's */
} join_names;

typedef struct join {
    const moe_routing_file *const *files;
    size_t n;
    GString *report;
    uint32_t k;
    bool weights, logits, step, token_id, ahead;
    join_names domain, modality;
    moe_routing_builder *out;
} join;

static const moe_routing *
join_at(const join *j, size_t i)
{
    return moe_routing_get(j->files[i]);
}

/* ---- what fits together ---- */

static bool
join_fits(const join *j, size_t i, moe_diag *diag)
{
    const moe_routing *a = join_at(j, 0), *b = join_at(j, i);
    moe_loc at = {.file = moe_diag_intern(diag, b->path)};
    if (a->n_layers != b->n_layers || a->n_experts != b->n_experts ||
        memcmp(a->layer_ids, b->layer_ids, a->n_layers * sizeof *a->layer_ids) != 0) {
        moe_diag_error(
            diag, at, "has %u layers (%u to %u) of %u experts, but %s has %u (%u to %u) of %u",
            b->n_layers, b->layer_ids[0], b->layer_ids[b->n_layers - 1], b->n_experts, a->path,
            a->n_layers, a->layer_ids[0], a->layer_ids[a->n_layers - 1], a->n_experts);
        return false;
    }
    for (size_t o = 0; o < i; o++) {
        const moe_routing *other = join_at(j, o);
        if (!*other->model || !*b->model || strcmp(other->model, b->model) == 0)
            continue;
        moe_diag_error(diag, at, "is of the model '%s', but %s is of '%s'", b->model, other->path,
                       other->model);
        return false;
    }
    return true;
}

static bool
join_same_ahead(const moe_routing *a, const moe_routing *b)
{
    bool same = a->n_lookahead == b->n_lookahead;
    for (uint32_t i = 0; same && i < a->n_lookahead; i++)
        same = a->lookahead[i].distance == b->lookahead[i].distance &&
               a->lookahead[i].k == b->lookahead[i].k &&
               !a->lookahead[i].weights == !b->lookahead[i].weights;
    return same;
}

static void
join_drop(const join *j, bool any, bool all, const char *what)
{
    if (any && !all)
        g_string_append_printf(j->report, "%s dropped: not every file has the same\n", what);
}

/* ---- names ---- */

static uint32_t
join_name(join_names *names, const char *name)
{
    for (guint i = 0; i < names->names->len; i++)
        if (strcmp(names->names->pdata[i], name) == 0)
            return i;
    g_ptr_array_add(names->names, g_strdup(name));
    return names->names->len - 1;
}

/* `count` of file i, their names (NULL: none), and whether it has the tensor at all. */
static void
join_file_names(join_names *names, size_t i, bool has, uint32_t count, const char *const *of)
{
    if (i == 0)
        names->named = of != NULL;
    names->kept &= has && names->named == (of != NULL);
    if (!has)
        return;
    names->number[i] = g_new(uint32_t, count + 1);
    for (uint32_t d = 0; d < count; d++)
        names->number[i][d] = of ? join_name(names, of[d]) : d;
}

static void
join_begin_names(join_names *names, const char *key, size_t n)
{
    names->key = key;
    names->kept = true;
    names->names = g_ptr_array_new_with_free_func(g_free);
    names->number = g_new0(uint32_t *, n);
}

static void
join_end_names(join_names *names, size_t n)
{
    g_ptr_array_free(names->names, TRUE);
    for (size_t i = 0; i < n; i++)
        g_free(names->number[i]);
    g_free(names->number);
}

/* ["code","prose"] */
static void
join_write_names(const join_names *names, moe_routing_builder *out)
{
    if (!names->kept || !names->named)
        return;
    g_autoptr(GString) text = g_string_new("[");
    for (guint i = 0; i < names->names->len; i++) {
        g_string_append(text, i ? ",\"" : "\"");
        for (const char *at = names->names->pdata[i]; *at; at++) {
            if (*at == '"' || *at == '\\')
                g_string_append_c(text, '\\');
            if ((unsigned char)*at < 32)
                g_string_append_printf(text, "\\u%04x", *at);
            else
                g_string_append_c(text, *at);
        }
        g_string_append_c(text, '"');
    }
    g_string_append_c(text, ']');
    moe_routing_builder_meta(out, names->key, text->str);
}

/* ---- the whole ---- */

static void
join_survey(join *j)
{
    bool any[5] = {false};
    j->weights = j->logits = j->step = j->token_id = j->ahead = true;
    join_begin_names(&j->domain, "domains", j->n);
    join_begin_names(&j->modality, "modalities", j->n);
    bool domains = false, modalities = false, whole = false;
    for (size_t i = 0; i < j->n; i++) {
        const moe_routing *r = join_at(j, i);
        bool has[] = {r->weights != NULL, r->logits != NULL, r->step != NULL, r->token_id != NULL,
                      r->n_lookahead > 0};
        for (size_t t = 0; t < MOE_COUNT(has); t++)
            any[t] |= has[t];
        j->k = MAX(j->k, r->k);
        j->weights &= has[0];
        j->logits &= has[1];
        j->step &= has[2];
        j->token_id &= has[3];
        j->ahead &= join_same_ahead(join_at(j, 0), r);
        domains |= r->domain != NULL;
        whole |= r->times || r->similarity;
        modalities |= r->modality != NULL;
        join_file_names(&j->domain, i, r->domain != NULL, r->n_domains, r->domain_names);
        join_file_names(&j->modality, i, r->modality != NULL, r->n_modalities, r->modality_names);
    }
    j->domain.kept &= j->domain.names->len <= UINT16_MAX;
    j->modality.kept &= j->modality.names->len <= UINT8_MAX;
    for (size_t i = 0; i < j->n; i++)
        if (join_at(j, i)->k < j->k)
            g_string_append_printf(j->report, "%s: top-%u, its rows padded to %u with no expert\n",
                                   join_at(j, i)->path, join_at(j, i)->k, j->k);
    join_drop(j, any[0], j->weights, "gate weights");
    join_drop(j, any[1], j->logits, "router logits");
    join_drop(j, any[2], j->step, "steps");
    join_drop(j, any[3], j->token_id, "token ids");
    join_drop(j, any[4], j->ahead, "look-aheads");
    join_drop(j, domains, j->domain.kept, "domains");
    join_drop(j, modalities, j->modality.kept, "modalities");
    if (whole)
        g_string_append(j->report, "stage times and similarity dropped: of each capture\n");
}

static bool
join_own_key(const char *key)
{
    static const char *const own[] = {"format", "version", "layer_ids",  "experts",
                                      "top_k",  "domains", "modalities", MOE_ROUTING_STAGES};
    for (size_t i = 0; i < MOE_COUNT(own); i++)
        if (strcmp(key, own[i]) == 0)
            return true;
    return false;
}

/* "a.safetensors: top-k …; b.safetensors: slice …", of the files that say something. */
static void
join_write_each(const join *j, const char *key)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (size_t i = 0; i < j->n; i++) {
        const char *value = moe_routing_meta(j->files[i], key);
        g_autofree char *name = g_path_get_basename(join_at(j, i)->path);
        if (value)
            g_string_append_printf(text, "%s%s: %s", text->len ? "; " : "", name, value);
    }
    moe_routing_builder_meta(j->out, key, text->str);
}

/* What file f says of a key that no file before it has: kept where all say the same. */
static void
join_write_key(const join *j, size_t f, const moe_meta *meta)
{
    bool same = f == 0, before = false;
    for (size_t i = 0; i < f; i++)
        before |= moe_routing_meta(j->files[i], meta->key) != NULL;
    if (before || join_own_key(meta->key) || strcmp(meta->key, "model") == 0 ||
        strcmp(meta->key, MOE_TRANSFORM_META_MARK) == 0)
        return;
    for (size_t i = 1; i < j->n && same; i++) {
        const char *value = moe_routing_meta(j->files[i], meta->key);
        same = value && strcmp(value, meta->value) == 0;
    }
    if (same)
        moe_routing_builder_meta(j->out, meta->key, meta->value);
    else if (strcmp(meta->key, MOE_TRANSFORM_META) == 0)
        join_write_each(j, meta->key);
    else
        g_string_append_printf(
            j->report, "metadata '%.100s' dropped: not every file says the same\n", meta->key);
}

static void
join_meta(const join *j)
{
    for (size_t f = 0; f < j->n; f++)
        for (size_t m = 0; m < j->files[f]->n_meta; m++)
            join_write_key(j, f, &j->files[f]->meta[m]);
    for (size_t i = 0; i < j->n; i++) {
        if (*join_at(j, i)->model)
            moe_routing_builder_meta(j->out, "model", join_at(j, i)->model);
        if (moe_routing_meta(j->files[i], MOE_TRANSFORM_META_MARK))
            moe_routing_builder_meta(j->out, MOE_TRANSFORM_META_MARK, "true");
    }
    join_write_names(&j->domain, j->out);
    join_write_names(&j->modality, j->out);
}

/* Buffers for one token. */
typedef struct join_token {
    uint16_t *ids, *ahead;
    float *weights, *logits;
} join_token;

static void
join_rows(const join *j, const moe_routing *r, uint64_t t, const join_token *token)
{
    for (uint32_t l = 0; l < r->n_layers; l++) {
        bool runs = moe_routing_id(r, t, l, 0) != MOE_ROUTING_NOT_RUN;
        for (uint32_t i = 0; i < j->k; i++) {
            size_t to = (size_t)l * j->k + i, at = (t * r->n_layers + l) * r->k + i;
            token->ids[to] = i < r->k ? (uint16_t)moe_routing_id(r, t, l, i)
                             : runs   ? (uint16_t)MOE_ROUTING_NO_EXPERT
                                      : (uint16_t)MOE_ROUTING_NOT_RUN;
            if (j->weights)
                token->weights[to] = i < r->k ? r->weights[at] : 0;
        }
    }
}

static void
join_extras(const join *j, size_t file, uint64_t t, uint32_t step, const join_token *token)
{
    const moe_routing *r = join_at(j, file);
    for (uint32_t a = 0; a < r->n_lookahead && j->ahead; a++) {
        uint32_t k = r->lookahead[a].k;
        for (uint32_t l = 0; l < r->n_layers; l++) {
            uint32_t n = moe_routing_lookahead_row(r, a, t, l, token->ahead + (size_t)l * k);
            for (; n < k; n++)
                token->ahead[(size_t)l * k + n] = MOE_ROUTING_NO_EXPERT;
        }
        moe_routing_builder_predicted(j->out, a, token->ahead);
        if (r->lookahead[a].weights)
            moe_routing_builder_predicted_weights(j->out, a,
                                                  r->lookahead[a].weights + t * r->n_layers * k);
    }
    if (j->step)
        moe_routing_builder_step(j->out, step + r->step[t]);
    if (j->domain.kept)
        moe_routing_builder_domain(j->out, (uint16_t)j->domain.number[file][r->domain[t]]);
    if (j->modality.kept)
        moe_routing_builder_modality(j->out, (uint8_t)j->modality.number[file][r->modality[t]]);
    if (j->token_id)
        moe_routing_builder_token_id(j->out, r->token_id[t]);
    if (!j->logits)
        return;
    size_t n = (size_t)r->n_layers * r->n_experts;
    for (size_t i = 0; i < n; i++)
        token->logits[i] = moe_routing_f16(r->logits[t * n + i]);
    moe_routing_builder_logits(j->out, token->logits);
}

static bool
join_file(const join *j, size_t file, uint32_t *sequence, uint64_t *step, const join_token *token)
{
    const moe_routing *r = join_at(j, file);
    moe_index_map map = {0};
    uint32_t last = 0;
    for (uint64_t t = 0; t < r->n_tokens; t++) {
        join_rows(j, r, t, token);
        uint32_t number = *sequence + moe_index_map_add(&map, r->sequence[t]);
        moe_routing_builder_add(j->out, number, r->position[t], (moe_phase)r->phase[t], token->ids,
                                j->weights ? token->weights : NULL);
        join_extras(j, file, t, (uint32_t)*step, token);
        last = j->step ? MAX(last, r->step[t]) : 0;
    }
    moe_index_map_clear(&map);
    *sequence += r->n_sequences;
    *step += (uint64_t)last + 1;
    return *step <= UINT32_MAX;
}

static bool
join_tokens(join *j, moe_diag *diag)
{
    const moe_routing *r = join_at(j, 0);
    uint32_t sequence = 0, ahead = 1;
    uint64_t step = 0;
    j->out = moe_routing_builder_new(r->n_layers, r->n_experts, j->k);
    moe_routing_builder_layers(j->out, r->layer_ids);
    for (uint32_t a = 0; a < r->n_lookahead && j->ahead; a++) {
        moe_routing_builder_lookahead(j->out, r->lookahead[a].distance, r->lookahead[a].k);
        if (r->lookahead[a].weights)
            moe_routing_builder_lookahead_weights(j->out, a);
        ahead = MAX(ahead, r->lookahead[a].k);
    }
    join_token token = {g_new(uint16_t, (size_t)r->n_layers * j->k),
                        g_new(uint16_t, (size_t)r->n_layers * ahead),
                        g_new(float, (size_t)r->n_layers * j->k),
                        g_new(float, j->logits ? (size_t)r->n_layers * r->n_experts : 1)};
    bool ok = true;
    for (size_t i = 0; i < j->n && ok; i++) {
        ok = join_file(j, i, &sequence, &step, &token);
        if (!ok)
            moe_diag_error(diag, (moe_loc){.file = moe_diag_intern(diag, join_at(j, i)->path)},
                           "its steps go beyond 2^32 when counted on from the files before");
    }
    g_free(token.ids);
    g_free(token.ahead);
    g_free(token.weights);
    g_free(token.logits);
    return ok;
}

moe_routing_builder *
moe_transform_join(const moe_routing_file *const *files, size_t n, GString *report, moe_diag *diag)
{
    join j = {.files = files, .n = n, .report = report};
    bool ok = true;
    for (size_t i = 1; i < n; i++)
        ok &= join_fits(&j, i, diag);
    if (!ok)
        return NULL;
    join_survey(&j);
    ok = join_tokens(&j, diag);
    if (ok)
        join_meta(&j);
    else
        g_clear_pointer(&j.out, moe_routing_builder_free);
    join_end_names(&j.domain, n);
    join_end_names(&j.modality, n);
    return j.out;
}
