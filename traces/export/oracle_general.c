/* Accesses for cache simulators, in libCacheSim's format "oracleGeneral": records of 24 bytes,
 * little-endian and packed: u32 time, u64 object, u32 size, i64 which access, counted from 1, is
 * the object's next, -1: none (libCacheSim, traceReader/customizedReader/oracle/oracleGeneralBin.h
 * and bin/traceUtils/traceConvOracleGeneral.cpp).
 *
 * Accesses come in the order of `trace mrc --group access`: sequences one after another, tokens by
 * position, layers, experts as written. An object is layer x experts + expert, of size 1; time is
 * the number of the token. The next use is known from behind, so the file is written from its
 * end. */
#include "traces/export/export.h"

#include <string.h>

#define ORACLE_RECORD 24
#define ORACLE_BLOCK 8192 /* records that are written at a time */

typedef struct oracle {
    const moe_export_job *job;
    int64_t *next;  /* [layers, experts]: access that comes next; -1: none */
    uint8_t *block; /* the last `n` records of it, not yet written */
    size_t n;
    uint64_t first; /* access (from 0) that the block begins with; those behind are written */
} oracle;

static uint64_t
oracle_count(const moe_routing *r)
{
    uint64_t n = 0;
    for (uint64_t row = 0; row < r->n_tokens; row++)
        for (uint32_t layer = 0; layer < r->n_layers; layer++)
            for (uint32_t j = 0; j < r->k; j++)
                n += moe_routing_id(r, row, layer, j) < MOE_ROUTING_NOT_RUN;
    return n;
}

static void
oracle_flush(oracle *o)
{
    const uint8_t *records = o->block + (ORACLE_BLOCK - o->n) * ORACLE_RECORD;
    moe_output_at(o->job->output, o->first * ORACLE_RECORD, records, o->n * ORACLE_RECORD);
    o->n = 0;
}

/* The access before the one that was given last. */
static void
oracle_put(oracle *o, uint32_t time, uint64_t object)
{
    const uint32_t size = 1;
    uint8_t *record = o->block + (ORACLE_BLOCK - o->n - 1) * ORACLE_RECORD;
    memcpy(record, &time, 4);
    memcpy(record + 4, &object, 8);
    memcpy(record + 12, &size, 4);
    memcpy(record + 16, &o->next[object], 8);
    o->next[object] = (int64_t)o->first; /* this access, counted from 1 */
    o->first--;
    if (++o->n == ORACLE_BLOCK)
        oracle_flush(o);
}

static void
oracle_token(oracle *o, uint64_t row, uint32_t time)
{
    const moe_routing *r = o->job->routing;
    for (uint32_t layer = r->n_layers; layer-- > 0;) {
        for (uint32_t j = r->k; j-- > 0;) {
            uint32_t id = moe_routing_id(r, row, layer, j);
            if (id < MOE_ROUTING_NOT_RUN)
                oracle_put(o, time, (uint64_t)layer * r->n_experts + id);
        }
    }
}

static void
oracle_general_run(const moe_export_job *job)
{
    const moe_routing *r = job->routing;
    size_t n_objects = (size_t)r->n_layers * r->n_experts;
    oracle o = {.job = job, .first = oracle_count(r)};
    o.next = g_new(int64_t, n_objects);
    o.block = g_malloc((size_t)ORACLE_BLOCK * ORACLE_RECORD);
    for (size_t i = 0; i < n_objects; i++)
        o.next[i] = -1;
    uint64_t time = r->n_tokens;
    for (uint32_t s = r->n_sequences; s-- > 0;) {
        for (uint64_t i = r->sequence_first[s + 1] - r->sequence_first[s]; i-- > 0;) {
            time--;
            oracle_token(&o, moe_routing_token(r, s, i), (uint32_t)time);
            moe_export_progress(job, r->n_tokens - time);
        }
    }
    oracle_flush(&o);
    g_free(o.next);
    g_free(o.block);
}

const moe_exporter moe_exporter_oracle_general = {
    .name = "oracleGeneral",
    .suffix = ".oracleGeneral",
    .help = "Accesses for libCacheSim and others: records of 24 bytes (u32 token, u64 layer x "
            "experts + expert, u32 size 1, i64 next access of the same, from 1, or -1), in the "
            "order of `trace mrc`.",
    .seeks = true,
    .run = oracle_general_run,
};
