/* A whole step: every stage asked for at once, eagerly or from a graph, and one wait at its end.
 *
 * Graphs are for steps in which no sequence has more than one row: what is launched then depends on
 * the numbers of moe_cuda_graph alone. A step is run eagerly when its numbers are met first, is
 * captured when they are met again, and is replayed from then on. */
#include "profiler/cuda/state.h"

#include <cstring>

enum { EMBED, ATTENTION, ROUTER, DISPATCH, EXPERTS, COMBINE, UNEMBED };

/* ---- stages ---- */

/* The end of an interval that belongs to a stage, or, below 0, to nobody. */
static int
mark(moe_cuda_state *s, int32_t stage, moe_cuda_failure *failure)
{
    moe_cuda_marks *m = &s->marks;
    if (!m->on)
        return MOE_CUDA_OK;
    if (m->n == m->most)
        return moe_cuda_fail(failure, MOE_CUDA_FAILED, "more than %u marks in a step", m->most);
    /* An event of a graph can be read only if it is recorded as one from outside. */
    MOE_TRY(
        cudaEventRecordWithFlags(m->events[m->n], s->stream,
                                 m->capturing ? cudaEventRecordExternal : cudaEventRecordDefault));
    m->stage[m->n++] = stage;
    return MOE_CUDA_OK;
}

static int
begin(moe_cuda_state *s, uint32_t layer, uint32_t stage, moe_cuda_failure *failure)
{
    if (s->marks.gap)
        MOE_PASS(mark(s, -1, failure));
    s->marks.gap = false;
    s->host.push(s->host.context, layer, stage);
    return MOE_CUDA_OK;
}

static int
end(moe_cuda_state *s, uint32_t layer, uint32_t stage, int result, moe_cuda_failure *failure)
{
    s->host.pop(s->host.context);
    MOE_PASS(result);
    return mark(s, (int32_t)(layer * MOE_CUDA_STAGES + stage), failure);
}

#define STAGE(layer, stage, call)                                                                  \
    do {                                                                                           \
        MOE_PASS(begin(s, layer, stage, failure));                                                 \
        MOE_PASS(end(s, layer, stage, call, failure));                                             \
    } while (0)

/* Elements of the choices of all MoE layers before `moe`. */
static size_t
chosen(const moe_cuda_state *s, uint32_t moe)
{
    return (size_t)moe * s->n * s->top_k;
}

/* From the first element of one look-ahead to that of the next. */
static size_t
ahead_stride(const moe_cuda_state *s)
{
    return (size_t)s->n_moe * s->config.max_rows * s->top_k;
}

static int
choose(moe_cuda_state *s, uint32_t layer, uint32_t gate, float *logits, uint16_t *ids,
       float *weights, moe_cuda_failure *failure)
{
    MOE_PASS(moe_cuda_run_router(s, layer, gate, logits, failure));
    MOE_TRY(moe_cuda_route(s->stream, &s->router, logits, s->layers[gate].correction, s->n, ids,
                           weights));
    return MOE_CUDA_OK;
}

static int
look_ahead(moe_cuda_state *s, uint32_t layer, uint32_t moe, uint32_t ahead,
           moe_cuda_failure *failure)
{
    for (uint32_t d = 1; d <= ahead && moe + d < s->n_moe; d++) {
        size_t at = (d - 1) * ahead_stride(s) + chosen(s, moe);
        MOE_PASS(choose(s, layer, s->moe_layer[moe + d], s->ahead_logits, s->ahead_ids + at,
                        s->ahead_weights + at, failure));
        s->marks.gap = true;
    }
    return MOE_CUDA_OK;
}

static int
fill_dispatch(moe_cuda_state *s, const uint16_t *ids, moe_cuda_failure *failure)
{
    MOE_TRY(moe_cuda_dispatch_fill(s->stream, &s->dispatch, ids, s->n));
    return MOE_CUDA_OK;
}

/* What the layer's router meets, compared with what those before it met. */
static int
compare(moe_cuda_state *s, uint32_t moe, uint32_t ahead, moe_cuda_failure *failure)
{
    s->marks.gap = true;
    MOE_TRY(moe_cuda_cosines(
        s->stream, s->residual, s->n, s->hidden, s->ring, (size_t)s->config.max_rows * s->hidden,
        moe, ahead, s->cosines + (size_t)moe * s->n, (size_t)s->n_moe * s->config.max_rows));
    return MOE_CUDA_OK;
}

static int
run_moe(moe_cuda_state *s, const moe_cuda_step *step, uint32_t layer, moe_cuda_failure *failure)
{
    uint32_t moe = (uint32_t)s->layers[layer].moe;
    uint16_t *ids = s->ids + chosen(s, moe);
    float *weights = s->weights + chosen(s, moe), *logits = s->router_logits;
    if (step->router_logits)
        logits = s->all_logits + (size_t)moe * s->n * s->experts;
    if (step->cosines)
        MOE_PASS(compare(s, moe, step->lookahead, failure));
    STAGE(layer, ROUTER, choose(s, layer, layer, logits, ids, weights, failure));
    MOE_PASS(look_ahead(s, layer, moe, step->lookahead, failure));
    STAGE(layer, DISPATCH, fill_dispatch(s, ids, failure));
    STAGE(layer, EXPERTS, moe_cuda_run_experts(s, layer, s->layers[layer].table, failure));
    STAGE(layer, COMBINE, moe_cuda_run_combine(s, layer, weights, failure));
    return MOE_CUDA_OK;
}

static int
run_all(moe_cuda_state *s, const moe_cuda_step *step, moe_cuda_failure *failure)
{
    s->marks.n = 0;
    s->marks.gap = true;
    STAGE(0, EMBED, moe_cuda_run_embed(s, failure));
    for (uint32_t l = 0; l < s->n_layers; l++) {
        STAGE(l, ATTENTION, moe_cuda_run_attention(s, l, failure));
        if (s->layers[l].moe >= 0)
            MOE_PASS(run_moe(s, step, l, failure));
        else
            STAGE(l, COMBINE, moe_cuda_run_dense(s, l, failure));
    }
    if (step->n_rows)
        STAGE(s->n_layers - 1, UNEMBED, moe_cuda_run_unembed(s, step->n_rows, failure));
    return MOE_CUDA_OK;
}

/* ---- graphs ---- */

static bool
same(const moe_cuda_graph *g, const moe_cuda_step *step)
{
    return g->n == step->batch.n && g->n_rows == step->n_rows && g->lookahead == step->lookahead &&
           g->router_logits == step->router_logits && g->cosines == step->cosines &&
           g->timed == step->timed;
}

static void
forget(moe_cuda_graph *g)
{
    if (g->exec)
        cudaGraphExecDestroy(g->exec);
    delete[] g->stage;
    *g = moe_cuda_graph();
}

void
moe_cuda_graphs_clear(moe_cuda_state *s)
{
    for (uint32_t i = 0; i < s->n_graphs; i++)
        forget(&s->graphs[i]);
    s->n_graphs = 0;
}

/* The step's graph, in the place of the one that was longest not used if there is none; `met`: the
 * step was before. */
static moe_cuda_graph *
find_graph(moe_cuda_state *s, const moe_cuda_step *step, bool *met)
{
    moe_cuda_graph *oldest = &s->graphs[0];
    *met = true;
    for (uint32_t i = 0; i < s->n_graphs; i++) {
        if (same(&s->graphs[i], step))
            return &s->graphs[i];
        if (s->graphs[i].used < oldest->used)
            oldest = &s->graphs[i];
    }
    *met = false;
    if (s->n_graphs < MOE_CUDA_GRAPHS)
        oldest = &s->graphs[s->n_graphs++];
    forget(oldest);
    oldest->n = step->batch.n;
    oldest->n_rows = step->n_rows;
    oldest->lookahead = step->lookahead;
    oldest->router_logits = step->router_logits;
    oldest->cosines = step->cosines;
    oldest->timed = step->timed;
    return oldest;
}

static int
instantiate(moe_cuda_graph *g, cudaGraph_t graph, moe_cuda_failure *failure)
{
    MOE_TRY(cudaGraphInstantiate(&g->exec, graph, 0));
    return MOE_CUDA_OK;
}

static int
capture(moe_cuda_state *s, const moe_cuda_step *step, moe_cuda_graph *g, moe_cuda_failure *failure)
{
    cudaGraph_t graph = nullptr;
    MOE_TRY(cudaStreamBeginCapture(s->stream, cudaStreamCaptureModeThreadLocal));
    s->marks.capturing = true;
    int asked = run_all(s, step, failure);
    s->marks.capturing = false;
    int ended = cudaStreamEndCapture(s->stream, &graph);
    if (asked == MOE_CUDA_OK && ended != cudaSuccess)
        asked = moe_cuda_failed(failure, ended, "cudaStreamEndCapture");
    if (asked == MOE_CUDA_OK)
        asked = instantiate(g, graph, failure);
    if (graph)
        cudaGraphDestroy(graph);
    if (asked != MOE_CUDA_OK)
        return asked;
    g->n_marks = s->marks.n;
    g->stage = new int32_t[s->marks.n + 1];
    memcpy(g->stage, s->marks.stage, s->marks.n * sizeof *g->stage);
    return MOE_CUDA_OK;
}

static int
replay(moe_cuda_state *s, const moe_cuda_graph *g, moe_cuda_failure *failure)
{
    s->marks.n = g->n_marks;
    memcpy(s->marks.stage, g->stage, g->n_marks * sizeof *g->stage);
    MOE_TRY(cudaGraphLaunch(g->exec, s->stream));
    return MOE_CUDA_OK;
}

static int
run(moe_cuda_state *s, const moe_cuda_step *step, bool *replayed, moe_cuda_failure *failure)
{
    bool met = false;
    *replayed = false;
    if (s->config.eager || s->grouped || s->rows.plan.runs)
        return run_all(s, step, failure);
    moe_cuda_graph *g = find_graph(s, step, &met);
    g->used = ++s->steps;
    if (!met)
        return run_all(s, step, failure);
    if (!g->exec)
        MOE_PASS(capture(s, step, g, failure));
    *replayed = true;
    return replay(s, g, failure);
}

/* ---- a step ---- */

/* What not every step wants, when it is first wanted. */
static int
prepare(moe_cuda_state *s, const moe_cuda_step *step, moe_cuda_failure *failure)
{
    size_t all = (size_t)s->n_moe * s->config.max_rows * s->experts * sizeof(float);
    size_t ring = (size_t)(s->config.lookahead + 1) * s->config.max_rows * s->hidden;
    if (step->lookahead > s->config.lookahead)
        return moe_cuda_fail(failure, MOE_CUDA_FAILED, "%u layers ahead, %u were announced",
                             step->lookahead, s->config.lookahead);
    if (step->router_logits && !s->all_logits) {
        MOE_TRY(cudaMalloc((void **)&s->all_logits, all));
        MOE_TRY(cudaMallocHost((void **)&s->host_all_logits, all));
    }
    if (step->cosines && !s->ring)
        MOE_TRY(cudaMalloc((void **)&s->ring, ring * sizeof(float)));
    return MOE_CUDA_OK;
}

static int
fetch(moe_cuda_state *s, void *to, const void *from, size_t bytes, moe_cuda_failure *failure)
{
    if (bytes)
        MOE_TRY(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, s->stream));
    return MOE_CUDA_OK;
}

static int
fetch_ahead(moe_cuda_state *s, const moe_cuda_step *step, moe_cuda_answer *answer,
            moe_cuda_failure *failure)
{
    size_t n = chosen(s, s->n_moe), rows = (size_t)s->n_moe * s->config.max_rows;
    for (uint32_t d = 0; d < step->lookahead; d++) {
        size_t at = d * ahead_stride(s);
        answer->ahead[d] = s->host_ahead_ids + at;
        answer->ahead_weights[d] = s->host_ahead_weights + at;
        MOE_PASS(fetch(s, s->host_ahead_ids + at, s->ahead_ids + at, n * sizeof *s->ids, failure));
        MOE_PASS(fetch(s, s->host_ahead_weights + at, s->ahead_weights + at, n * sizeof *s->weights,
                       failure));
        if (!step->cosines)
            continue;
        answer->cosines[d] = s->host_cosines + d * rows;
        MOE_PASS(fetch(s, s->host_cosines + d * rows, s->cosines + d * rows,
                       (size_t)s->n_moe * s->n * sizeof(float), failure));
    }
    return MOE_CUDA_OK;
}

static int
fetch_all(moe_cuda_state *s, const moe_cuda_step *step, moe_cuda_answer *answer,
          moe_cuda_failure *failure)
{
    size_t n = chosen(s, s->n_moe), all = (size_t)s->n_moe * s->n * s->experts;
    MOE_PASS(fetch(s, s->host_ids, s->ids, n * sizeof *s->ids, failure));
    MOE_PASS(fetch(s, s->host_weights, s->weights, n * sizeof *s->weights, failure));
    MOE_PASS(fetch(s, s->host_logits, s->logits, (size_t)step->n_rows * s->vocab * sizeof(float),
                   failure));
    if (step->router_logits)
        MOE_PASS(fetch(s, s->host_all_logits, s->all_logits, all * sizeof(float), failure));
    MOE_PASS(fetch_ahead(s, step, answer, failure));
    answer->logits = s->host_logits;
    answer->ids = s->host_ids;
    answer->weights = s->host_weights;
    answer->router_logits = step->router_logits ? s->host_all_logits : nullptr;
    answer->ns = s->ns;
    MOE_TRY(cudaStreamSynchronize(s->stream));
    return MOE_CUDA_OK;
}

static int
read_marks(moe_cuda_state *s, moe_cuda_failure *failure)
{
    const moe_cuda_marks *m = &s->marks;
    memset(s->ns, 0, s->n_layers * MOE_CUDA_STAGES * sizeof *s->ns);
    for (uint32_t i = 1; m->on && i < m->n; i++) {
        float ms = 0;
        if (m->stage[i] < 0)
            continue;
        MOE_TRY(cudaEventElapsedTime(&ms, m->events[i - 1], m->events[i]));
        s->ns[m->stage[i]] += ms * 1e6f;
    }
    return MOE_CUDA_OK;
}

int
moe_cuda_forward(moe_cuda_state *s, const moe_cuda_step *step, moe_cuda_answer *answer,
                 moe_cuda_failure *failure)
{
    MOE_PASS(prepare(s, step, failure));
    MOE_PASS(moe_cuda_rows_begin(s, &step->batch, step->rows, step->n_rows, failure));
    s->marks.on = step->timed;
    MOE_PASS(run(s, step, &answer->replayed, failure));
    MOE_PASS(fetch_all(s, step, answer, failure));
    return read_marks(s, failure);
}
