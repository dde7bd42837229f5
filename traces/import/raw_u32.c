/* A bare stream of ids: u32 little-endian, k for each layer, layer by layer, token by token.
 * Nothing in it says where it starts or what it is of, so the user says the shape, and what does
 * not divide by it is refused. */
#include "traces/import/traps.h"

#include <string.h>

typedef struct raw_stream {
    moe_import_job *job;
    moe_text_source *source;
    moe_traps *traps;
    uint8_t *token; /* bytes of one */
    size_t n_bytes, have;
    int32_t *ids;
    uint32_t position;
    uint64_t total;
} raw_stream;

/* What would be negative when taken as signed is no expert, but for an unused slot. */
static bool
raw_possible(const raw_stream *r)
{
    const moe_import_options *o = r->job->options;
    for (size_t i = 0; i < (size_t)o->layers * o->top_k; i++) {
        uint32_t id;
        memcpy(&id, r->token + i * sizeof id, sizeof id);
        if (id > INT32_MAX && id != UINT32_MAX)
            return moe_import_fail(r->job, 0,
                                   "token %u, layer %zu: expert %u, but there are %u experts",
                                   r->position, i / o->top_k, id, o->experts);
    }
    return true;
}

/* Signed on purpose: 0xFFFFFFFF is -1, an unused slot. */
static bool
raw_token(raw_stream *r)
{
    memcpy(r->ids, r->token, r->n_bytes);
    r->have = 0;
    if (r->position == MOE_NONE)
        return moe_import_fail(r->job, 0, "more than 2^32 - 1 tokens");
    return moe_traps_add(r->traps, 0, r->position++, MOE_DECODE, r->ids, NULL);
}

static bool
raw_read(raw_stream *r)
{
    const char *damage;
    size_t n;
    double done, total;
    for (;;) {
        if (!moe_text_source_read(r->source, (char *)r->token + r->have, r->n_bytes - r->have, &n,
                                  &damage, r->job->error))
            return damage ? moe_import_fail(r->job, 0, "%s", damage) : false;
        if (n == 0)
            break;
        r->have += n;
        r->total += n;
        if (r->have == r->n_bytes && !raw_possible(r))
            return false;
        if (r->have == r->n_bytes && !raw_token(r))
            return true; /* told; the traps' end says so */
        moe_text_source_progress(r->source, &done, &total);
        if (r->job->progress)
            r->job->progress(r->job->context, done, total);
    }
    if (r->have == 0)
        return true;
    const moe_import_options *o = r->job->options;
    return moe_import_fail(r->job, 0,
                           "%" G_GUINT64_FORMAT " bytes are no multiple of the %zu of a token (%u "
                           "layers x top-%u x 4 bytes): %zu are left over",
                           r->total, r->n_bytes, o->layers, o->top_k, r->have);
}

static moe_routing_builder *
raw_u32_run(moe_import_job *job)
{
    const moe_import_options *o = job->options;
    raw_stream r = {.job = job, .n_bytes = (size_t)o->layers * o->top_k * sizeof(uint32_t)};
    r.traps = moe_traps_new(
        job, &(moe_traps_shape){.n_layers = o->layers, .k = o->top_k, .n_experts = o->experts});
    r.source = r.traps ? moe_import_open(job, 0) : NULL;
    moe_routing_builder *builder = NULL;
    if (r.source) {
        r.token = g_malloc(r.n_bytes);
        r.ids = g_malloc(r.n_bytes);
        if (raw_read(&r))
            builder = moe_traps_finish(g_steal_pointer(&r.traps));
    }
    if (builder)
        moe_import_note(job, "one sequence, all tokens taken as decode: the stream does not say");
    g_free(r.token);
    g_free(r.ids);
    moe_text_source_close(r.source);
    moe_traps_free(r.traps);
    return builder;
}

/* Any bytes could be it: never found, and never refused for what they look like. */
static int
raw_u32_sniff(const char *path, const char *head, size_t n)
{
    return 0;
}

const moe_importer moe_importer_raw_u32 = {
    .name = "raw-u32",
    .help =
        "Bare ids, u32 little-endian (0xFFFFFFFF: unused slot), top-k of each layer, all layers "
        "of a token, token by token; wants --layers, --experts and --top-k.",
    .needs = MOE_IMPORT_LAYERS | MOE_IMPORT_EXPERTS | MOE_IMPORT_TOP_K,
    .sniff = raw_u32_sniff,
    .run = raw_u32_run,
};
