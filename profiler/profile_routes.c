/* Who the rows of each step are, and where they were routed, as the engine said. */
#include "profiler/profile_decode.h"

#include <string.h>

enum { MOST_K = 256, MOST_LAYERS = 4096, MOST_ROWS = 1 << 24 };

static bool
route_rows(int64_t step, int64_t token0, int32_t n)
{
    return step >= 0 && token0 >= 0 && token0 < INT32_MAX && n > 0 && n <= MOST_ROWS;
}

/* An array of which every cell is -1 is none. */
static const void *
route_told(const uint8_t *cells, size_t n)
{
    for (size_t i = 0; i < n * 4; i++)
        if (cells[i] != 0xFF)
            return cells;
    return NULL;
}

static size_t
route_tokens(moe_decode *d, const uint8_t *at, size_t left)
{
    moe_raw_tokens head;
    if (left < sizeof head)
        return 0;
    memcpy(&head, at, sizeof head);
    size_t n = (size_t)head.n, bytes = sizeof head + n * 3 * 4;
    if (!route_rows(head.step, head.token0, head.n) || bytes > left)
        return 0;
    at += sizeof head;
    moe_profile_token row = {.pid = d->pid,
                             .step = head.step,
                             .token0 = head.token0,
                             .tokens = (uint32_t)n,
                             .sequence = route_told(at, n),
                             .position = route_told(at + n * 4, n),
                             .token_id = route_told(at + n * 8, n)};
    if (!moe_profile_add_token(d->writer, &row))
        moe_profile_note(d->writer, d->pid, MOE_PROFILE_NULL, "route_twice", 1,
                         "the rows of a step were described twice: the first words count");
    return (bytes + 7) & ~(size_t)7;
}

static size_t
route_routes(moe_decode *d, const uint8_t *at, size_t left)
{
    moe_raw_route head;
    if (left < sizeof head)
        return 0;
    memcpy(&head, at, sizeof head);
    if (!route_rows(head.step, head.token0, head.n) || head.k < 1 || head.k > MOST_K ||
        head.layer < 0 || head.layer >= MOST_LAYERS)
        return 0;
    bool weighted = head.flags & MOE_RAW_ROUTE_WEIGHTS;
    size_t cells = (size_t)head.n * (size_t)head.k;
    size_t bytes = sizeof head + cells * (weighted ? 6 : 2);
    if (bytes > left)
        return 0;
    moe_profile_routing_row row = {.pid = d->pid,
                                   .step = head.step,
                                   .layer = head.layer,
                                   .token0 = head.token0,
                                   .tokens = (uint32_t)head.n,
                                   .k = (uint32_t)head.k,
                                   .ids = at + sizeof head,
                                   .weights = weighted ? at + sizeof head + cells * 2 : NULL};
    if (!moe_profile_add_routing(d->writer, &row))
        moe_profile_note(d->writer, d->pid, (int64_t)head.time_ns, "route_twice", 1, NULL);
    d->routes = true;
    return (bytes + 7) & ~(size_t)7;
}

/* What follows an entry that makes no sense cannot be found. */
static void
route_chunk(moe_decode *d, const moe_raw_chunk *chunk,
            size_t (*entry)(moe_decode *d, const uint8_t *at, size_t left))
{
    size_t at = 0;
    while (at < chunk->bytes) {
        size_t reach = entry(d, chunk->payload + at, chunk->bytes - at);
        if (reach == 0) {
            d->odd++;
            return;
        }
        at += MIN(reach, chunk->bytes - at);
    }
}

void
moe_decode_routes(moe_decode *d)
{
    size_t n;
    const moe_raw_chunk *chunks = moe_rawread_chunks(d->file, &n);
    for (size_t i = 0; i < n && !moe_profile_writer_failed(d->writer); i++) {
        if (chunks[i].type == MOE_RAW_TOKENS)
            route_chunk(d, &chunks[i], route_tokens);
        else if (chunks[i].type == MOE_RAW_ROUTES)
            route_chunk(d, &chunks[i], route_routes);
    }
}
