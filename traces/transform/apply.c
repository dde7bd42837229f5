/* The driver of the rows and tokens stages: one pass over the tokens per step, from one routing to
 * the builder of the next. */
#include "traces/transform/transform.h"

#include "sim/base/error.h"
#include "traces/index_map.h"
#include "traces/routing_file.h"
#include "traces/transform/stage.h"

#include <string.h>

/* One step at work. */
typedef struct pass {
    const moe_transform_ops *ops;
    moe_transform_job job;
    const moe_routing_file *file;
    const moe_routing *in;
    moe_routing_builder *out;
    uint32_t n_ahead; /* look-aheads that are carried over */
    uint32_t room;    /* of a row while it is worked on */
    uint16_t *ids;    /* [n_layers * k] of the result */
    uint16_t *work;   /* [room] */
    float *weights;   /* [n_layers * k], NULL: none */
    float *work_weights;
    float *logits;         /* [n_layers * n_experts] of the result, NULL: none */
    float *work_logits;    /* [n_experts] of the routing */
    uint16_t *ahead;       /* [n_layers * largest look-ahead k] */
    float *ahead_weights;  /* likewise */
    moe_index_map numbers; /* anonymous: recorded sequence -> new number */
    uint64_t tokens, pairs_before, pairs_after;
} pass;

bool
moe_transform_needs(const moe_routing *routing, const moe_transform_step *step, bool ordered,
                    moe_diag *diag)
{
    const moe_transform_ops *ops = step->choice->variant->ops;
    unsigned needs = ops->needs ? ops->needs(step->choice->config) : 0;
    const char *lacks = NULL;
    if (needs & MOE_TRANSFORM_WEIGHTS && !routing->weights)
        lacks = "gate weights";
    else if (needs & MOE_TRANSFORM_LOGITS && !routing->logits)
        lacks = "router logits";
    else if (needs & MOE_TRANSFORM_MODALITY && !routing->modality)
        lacks = "modalities";
    else if (needs & MOE_TRANSFORM_ORDERED && !routing->weights && !ordered)
        lacks = "gate weights, or experts in order of weight (metadata 'order')";
    if (lacks)
        moe_diag_error(diag, step->at, "'%s' needs %s, and %s has none",
                       step->choice->variant->name, lacks, routing->path);
    return lacks == NULL;
}

static bool
ordered(const moe_routing_file *file)
{
    const char *order = moe_routing_meta(file, "order");
    return order && strcmp(order, "weight") == 0;
}

bool
moe_transform_open(moe_transform_job *job, const moe_routing *routing,
                   const moe_transform_step *step, const moe_transform_order *order, moe_diag *diag)
{
    const moe_transform_ops *ops = step->choice->variant->ops;
    *job = (moe_transform_job){.routing = routing,
                               .config = step->choice->config,
                               .folder = order->folder,
                               .seed = order->seed,
                               .at = step->at,
                               .diag = diag,
                               .k = routing->k,
                               .n_experts = routing->n_experts,
                               .n_layers = routing->n_layers,
                               .rounds = 1};
    if (ops->open && !ops->open(job))
        return false;
    moe_assert(job->k >= 1 && job->n_experts >= job->k && job->n_experts <= routing->n_experts &&
                   job->first_layer + job->n_layers <= routing->n_layers,
               "'%s': top-%u of %u experts", step->choice->variant->name, job->k, job->n_experts);
    moe_assert(ops->ahead || job->n_experts == routing->n_experts,
               "'%s' takes experts away, but leaves look-aheads as they are",
               step->choice->variant->name);
    return true;
}

/* ---- rows ---- */

static void
load_logits(const pass *p, uint64_t token, uint32_t layer)
{
    const uint16_t *halves = p->in->logits + (token * p->in->n_layers + layer) * p->in->n_experts;
    for (uint32_t e = 0; e < p->in->n_experts; e++)
        p->work_logits[e] = moe_routing_f16(halves[e]);
}

/* Row `layer` of the token, worked on and put where it belongs. */
static void
take_row(pass *p, uint64_t token, uint32_t layer)
{
    const moe_routing *in = p->in;
    uint32_t to = layer - p->job.first_layer, k = p->job.k, n_experts = p->job.n_experts;
    uint64_t from = (token * in->n_layers + layer) * in->k;
    bool runs = moe_routing_id(in, token, layer, 0) != MOE_ROUTING_NOT_RUN;
    moe_transform_row row = {.token = token,
                             .layer = layer,
                             .n = moe_routing_row(in, token, layer, p->work),
                             .room = p->room,
                             .ids = p->work,
                             .weights = p->weights ? p->work_weights : NULL,
                             .logits = p->work_logits};
    if (p->weights)
        memcpy(p->work_weights, in->weights + from, in->k * sizeof(float));
    if (p->logits)
        load_logits(p, token, layer);
    p->pairs_before += row.n;
    if (runs && p->ops->row)
        p->ops->row(p->job.state, p->job.config, &row);
    moe_assert(row.n <= k, "%u experts in a row of %u", row.n, k);
    p->pairs_after += row.n;
    for (uint32_t j = 0; j < k; j++) {
        p->ids[to * k + j] = j < row.n ? p->work[j]
                             : runs    ? (uint16_t)MOE_ROUTING_NO_EXPERT
                                       : (uint16_t)MOE_ROUTING_NOT_RUN;
        if (p->weights)
            p->weights[to * k + j] = j < row.n ? p->work_weights[j] : 0;
    }
    if (p->logits)
        memcpy(p->logits + (size_t)to * n_experts, p->work_logits, n_experts * sizeof(float));
}

static void
take_ahead(pass *p, uint64_t token, uint32_t index)
{
    const moe_lookahead *l = &p->in->lookahead[index];
    uint32_t k = MIN(l->k, p->job.n_experts);
    float *weights = l->weights ? p->ahead_weights : NULL;
    for (uint32_t i = 0; i < p->job.n_layers; i++) {
        uint32_t layer = p->job.first_layer + i;
        float *work_weights = weights ? p->work_weights : NULL;
        if (weights)
            memcpy(work_weights, l->weights + (token * p->in->n_layers + layer) * l->k,
                   l->k * sizeof *weights);
        moe_transform_row row = {.token = token,
                                 .layer = layer,
                                 .n =
                                     moe_routing_lookahead_row(p->in, index, token, layer, p->work),
                                 .room = p->room,
                                 .ids = p->work,
                                 .weights = work_weights,
                                 .ahead = true};
        if (i < l->distance)
            row.n = 0; /* what it was made from is not there */
        if (p->ops->row && p->ops->ahead && row.n > 0)
            p->ops->row(p->job.state, p->job.config, &row);
        for (uint32_t j = 0; j < k; j++) {
            p->ahead[i * k + j] = j < row.n ? p->work[j] : (uint16_t)MOE_ROUTING_NO_EXPERT;
            if (weights)
                weights[i * k + j] = j < row.n ? work_weights[j] : 0;
        }
    }
    moe_routing_builder_predicted(p->out, index, p->ahead);
    if (weights)
        moe_routing_builder_predicted_weights(p->out, index, weights);
}

/* ---- tokens ---- */

static void
take_token(pass *p, uint64_t token)
{
    const moe_routing *in = p->in;
    for (uint32_t i = 0; i < p->job.n_layers; i++)
        take_row(p, token, p->job.first_layer + i);
    uint32_t sequence = in->sequence[token];
    if (p->job.anonymous)
        sequence = moe_index_map_add(&p->numbers, sequence);
    moe_routing_builder_add(p->out, sequence, in->position[token], (moe_phase)in->phase[token],
                            p->ids, p->weights);
    for (uint32_t i = 0; i < p->n_ahead; i++)
        take_ahead(p, token, i);
    if (in->step)
        moe_routing_builder_step(p->out, in->step[token]);
    if (in->domain)
        moe_routing_builder_domain(p->out, in->domain[token]);
    if (in->modality)
        moe_routing_builder_modality(p->out, in->modality[token]);
    if (in->token_id && !p->job.anonymous)
        moe_routing_builder_token_id(p->out, in->token_id[token]);
    if (p->logits)
        moe_routing_builder_logits(p->out, p->logits);
    p->tokens++;
}

/* ---- metadata ---- */

static bool
is_own(const char *key)
{
    static const char *const own[] = {"format", "version", "layer_ids", "experts", "top_k"};
    for (size_t i = 0; i < MOE_COUNT(own); i++)
        if (strcmp(key, own[i]) == 0)
            return true;
    return false;
}

/* What a reader needs to make sense of the numbers. */
static bool
is_harmless(const char *key)
{
    static const char *const harmless[] = {
        "model",      "engine",       "order",    "licence",          "domains",
        "modalities", "quantization", "hardware", MOE_TRANSFORM_META, MOE_TRANSFORM_META_MARK};
    for (size_t i = 0; i < MOE_COUNT(harmless); i++)
        if (strcmp(key, harmless[i]) == 0)
            return true;
    return false;
}

static void
carry_meta(const pass *p)
{
    for (size_t i = 0; i < p->file->n_meta; i++) {
        const moe_meta *meta = &p->file->meta[i];
        if (strcmp(meta->key, MOE_ROUTING_ABSENT) == 0 ||
            strcmp(meta->key, MOE_ROUTING_STAGES) == 0)
            continue; /* written anew with what it is about */
        if (!is_own(meta->key) && (!p->job.anonymous || is_harmless(meta->key)))
            moe_routing_builder_meta(p->out, meta->key, meta->value);
    }
    if (!p->ops->factual)
        moe_routing_builder_meta(p->out, MOE_TRANSFORM_META_MARK, "true");
}

/* ---- one step ---- */

/* With rounds, layer l becomes l * rounds, l * rounds + 1, …; a row of k slots is already, in
 * memory, that many rows of k / rounds. */
static void
begin_builder(pass *p)
{
    uint32_t rounds = p->job.rounds, n = p->job.n_layers * rounds;
    g_autofree uint32_t *ids = g_new(uint32_t, n);
    p->out = moe_routing_builder_new(n, p->job.n_experts, p->job.k / rounds);
    for (uint32_t l = 0; l < n; l++)
        ids[l] = p->in->layer_ids[p->job.first_layer + l / rounds] * rounds + l % rounds;
    moe_routing_builder_layers(p->out, ids);
}

static void
begin(pass *p)
{
    const moe_routing *in = p->in;
    uint32_t k = p->job.k, layers = p->job.n_layers, widest = MAX(in->k, k);
    p->n_ahead = p->job.rounds > 1 ? 0 : in->n_lookahead;
    begin_builder(p);
    uint32_t ahead = 1;
    bool ahead_weights = false;
    for (uint32_t i = 0; i < p->n_ahead; i++) {
        const moe_lookahead *l = &in->lookahead[i];
        moe_routing_builder_lookahead(p->out, l->distance, MIN(l->k, p->job.n_experts));
        if (l->weights)
            moe_routing_builder_lookahead_weights(p->out, i);
        ahead = MAX(ahead, l->k);
        ahead_weights |= l->weights != NULL;
    }
    p->room = MAX(widest, ahead);
    p->ids = g_new(uint16_t, (size_t)layers * k);
    p->work = g_new(uint16_t, p->room);
    p->ahead = g_new(uint16_t, (size_t)layers * ahead);
    if (in->weights)
        p->weights = g_new(float, (size_t)layers *k);
    if (in->weights || ahead_weights)
        p->work_weights = g_new0(float, p->room);
    if (ahead_weights)
        p->ahead_weights = g_new(float, (size_t)layers *ahead);
    if (in->logits && p->job.rounds == 1) {
        p->logits = g_new(float, (size_t)layers * p->job.n_experts);
        p->work_logits = g_new(float, in->n_experts);
    }
}

static void
end(pass *p)
{
    g_free(p->ids);
    g_free(p->work);
    g_free(p->ahead);
    g_free(p->ahead_weights);
    g_free(p->weights);
    g_free(p->work_weights);
    g_free(p->logits);
    g_free(p->work_logits);
    moe_index_map_clear(&p->numbers);
    moe_transform_shut(p->ops, &p->job);
}

void
moe_transform_shut(const moe_transform_ops *ops, moe_transform_job *job)
{
    if (ops->close && job->state)
        ops->close(job->state);
    else
        g_free(job->state);
    job->state = NULL;
}

static void
report_pass(const pass *p, const moe_transform_step *step, GString *report)
{
    const moe_routing *in = p->in;
    double before = (double)in->n_tokens * in->n_layers;
    double after = (double)p->tokens * p->job.n_layers;
    g_string_append_printf(report, "%s: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " tokens",
                           step->choice->variant->name, p->tokens, in->n_tokens);
    if (p->ops->row)
        g_string_append_printf(report, ", experts per token and layer %.4g -> %.4g",
                               (double)p->pairs_before / before, (double)p->pairs_after / after);
    g_string_append_c(report, '\n');
}

/* The result says which experts are gone: who replays it counts neither their room nor their loads.
 */
static void
note_absent(moe_routing_builder *builder, const double *sizes, uint32_t n_layers,
            uint32_t n_experts)
{
    g_autoptr(GString) text = g_string_new("[");
    bool any = false;
    for (uint32_t l = 0; l < n_layers; l++) {
        const char *comma = "";
        g_string_append(text, l ? ",[" : "[");
        for (uint32_t e = 0; e < n_experts; e++) {
            if (sizes[(size_t)l * n_experts + e] != 0)
                continue;
            g_string_append_printf(text, "%s%u", comma, e);
            comma = ",";
            any = true;
        }
        g_string_append_c(text, ']');
    }
    g_string_append_c(text, ']');
    if (any)
        moe_routing_builder_meta(builder, MOE_ROUTING_ABSENT, text->str);
}

/* What experts weigh after the step, in the shape of its result. */
static void
take_sizes(const pass *p, double expert_bits, double **sizes)
{
    uint32_t was = p->in->n_experts, is = p->job.n_experts;
    if (p->ops->sizes)
        p->ops->sizes(p->job.state, p->job.config, expert_bits, *sizes);
    uint32_t rounds = p->job.rounds, n = p->job.n_layers * rounds;
    double *next = g_new(double, (size_t)n *is);
    for (uint32_t l = 0; l < n; l++)
        memcpy(next + (size_t)l * is, *sizes + (size_t)(p->job.first_layer + l / rounds) * was,
               is * sizeof *next);
    g_free(*sizes);
    *sizes = next;
    note_absent(p->out, next, n, is);
}

/* What is not of tokens holds as long as the tokens are what it is of. */
static void
carry_whole(const pass *p, GString *report)
{
    const moe_routing *in = p->in;
    bool same = p->tokens == in->n_tokens && p->job.n_layers == in->n_layers &&
                p->job.rounds == 1 && !p->ops->row;
    if (!same && report && (in->times || in->similarity))
        g_string_append_printf(report, "%s dropped: of all tokens as they were captured\n",
                               !in->similarity ? "stage times"
                               : in->times     ? "stage times and similarity"
                                               : "similarity");
    if (!same)
        return;
    if (in->times)
        moe_routing_builder_stages(p->out, in->n_time_layers, in->stage_names, in->n_stages);
    for (uint64_t step = 0; in->times && step < in->n_time_steps; step++)
        moe_routing_builder_times(p->out, in->times + step * in->n_time_layers * in->n_stages);
    if (in->similarity)
        moe_routing_builder_similarity(p->out, in->n_similarity, in->similarity);
}

static moe_routing_builder *
run_step(const moe_routing_file *file, const moe_transform_step *step,
         const moe_transform_order *order, double **sizes, GString *report, moe_diag *diag)
{
    static const moe_transform_ops as_it_is = {.factual = true};
    pass p = {.ops = step ? step->choice->variant->ops : &as_it_is,
              .file = file,
              .in = moe_routing_get(file)};
    if (!step)
        p.job = (moe_transform_job){
            .k = p.in->k, .n_experts = p.in->n_experts, .n_layers = p.in->n_layers, .rounds = 1};
    else if (!moe_transform_needs(p.in, step, ordered(file), diag) ||
             !moe_transform_open(&p.job, p.in, step, order, diag)) {
        return NULL;
    }
    begin(&p);
    for (uint64_t t = 0; t < p.in->n_tokens; t++)
        if (!p.ops->token || p.ops->token(p.job.state, p.job.config, t))
            take_token(&p, t);
    carry_meta(&p);
    carry_whole(&p, report);
    if (p.tokens == 0) {
        moe_diag_error(diag, step ? step->at : (moe_loc){0}, "no token of %s is left", p.in->path);
        g_clear_pointer(&p.out, moe_routing_builder_free);
    } else if (report && step)
        report_pass(&p, step, report);
    if (p.out)
        take_sizes(&p, order->expert_bits, sizes);
    end(&p);
    return p.out;
}

/* The text of the steps goes behind that of earlier ones. */
static void
note_steps(moe_routing_builder *builder, const moe_routing_file *file,
           const moe_transform_order *order)
{
    const char *before = moe_routing_meta(file, MOE_TRANSFORM_META);
    g_autofree char *text =
        g_strconcat(before ? before : "", before ? ", " : "", order->text, NULL);
    if (order->n > 0)
        moe_routing_builder_meta(builder, MOE_TRANSFORM_META, text);
}

size_t
moe_transform_count(const moe_transform_order *order, moe_transform_stage stage)
{
    size_t n = 0;
    for (size_t i = 0; i < order->n; i++)
        n += ((const moe_transform_ops *)order->steps[i].choice->variant->ops)->stage == stage;
    return n;
}

/* Steps under way: the routing that they have come to, as a file or as a builder not yet one. */
typedef struct applying {
    const moe_transform_order *order;
    const moe_routing_file *at;
    moe_routing_file *made; /* `at`, when it is no longer the input */
    moe_routing_builder *builder;
    double *sizes; /* of what it has come to */
    bool sized;    /* by steps that change sizes alone, too */
    GString *report;
    moe_diag *diag;
} applying;

static bool
settle(applying *a, const moe_transform_step *step)
{
    if (!a->builder)
        return true;
    const char *name = moe_routing_get(a->at)->path;
    moe_routing_file *next = moe_routing_builder_finish(g_steal_pointer(&a->builder), name);
    if (!next) {
        moe_diag_error(a->diag, step->at, "no memory for the routing of %s", name);
        return false;
    }
    moe_routing_close(a->made);
    a->at = a->made = next;
    return true;
}

static bool
apply_sizes(applying *a, const moe_transform_step *step)
{
    const moe_transform_ops *ops = step->choice->variant->ops;
    moe_transform_job job;
    if (!a->sized)
        return true;
    if (!moe_transform_open(&job, moe_routing_get(a->at), step, a->order, a->diag))
        return false;
    ops->sizes(job.state, job.config, a->order->expert_bits, a->sizes);
    moe_transform_shut(ops, &job);
    return true;
}

static bool
apply_step(applying *a, const moe_transform_step *step)
{
    const moe_transform_ops *ops = step->choice->variant->ops;
    if (ops->stage == MOE_TRANSFORM_DISPATCH)
        return true;
    if (!settle(a, step))
        return false;
    if (ops->stage == MOE_TRANSFORM_SIZES)
        return apply_sizes(a, step);
    a->builder = run_step(a->at, step, a->order, &a->sizes, a->report, a->diag);
    return a->builder != NULL;
}

/* What experts weigh to begin with: nothing where they are gone. */
static double *
first_sizes(const moe_routing *routing)
{
    size_t n = (size_t)routing->n_layers * routing->n_experts;
    double *sizes = g_new(double, n);
    for (size_t i = 0; i < n; i++)
        sizes[i] = routing->absent && routing->absent[i] ? 0 : 1;
    return sizes;
}

moe_routing_builder *
moe_transform_apply(const moe_routing_file *file, const moe_transform_order *order, GString *report,
                    double **sizes, moe_diag *diag)
{
    applying a = {.order = order,
                  .at = file,
                  .sizes = first_sizes(moe_routing_get(file)),
                  .sized = sizes != NULL,
                  .report = report,
                  .diag = diag};
    bool ok = true;
    for (size_t i = 0; ok && i < order->n; i++)
        ok = apply_step(&a, &order->steps[i]);
    if (ok && !a.builder)
        a.builder = run_step(a.at, NULL, order, &a.sizes, NULL, diag);
    moe_routing_close(a.made);
    if (a.builder)
        note_steps(a.builder, file, order);
    if (a.builder && sizes)
        *sizes = g_steal_pointer(&a.sizes);
    g_free(a.sizes);
    return a.builder;
}
