/* The values of every request, read or built. */
#include "traces/requests/requests_file.h"

typedef struct requests_check {
    moe_requests *requests;
    moe_loc loc;
    moe_diag *diag;
    unsigned errors;
} requests_check;

static bool check_fail(requests_check *c, const char *tensor, uint64_t i, const char *fmt, ...)
    MOE_PRINTF(4, 5);

static bool
check_fail(requests_check *c, const char *tensor, uint64_t i, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    moe_diag_error(c->diag, c->loc, "tensor %s, request %" G_GUINT64_FORMAT ": %s", tensor, i,
                   text);
    return ++c->errors < MOE_REQUESTS_MAX_ERRORS;
}

static bool
check_tokens(requests_check *c, const char *tensor, uint64_t i, uint32_t tokens)
{
    return (tokens >= 1 && tokens <= MOE_REQUESTS_MAX_TOKENS) ||
           check_fail(c, tensor, i, "%u tokens, wants 1 .. %u", tokens, MOE_REQUESTS_MAX_TOKENS);
}

static bool
check_request(requests_check *c, uint64_t i)
{
    const moe_requests *r = c->requests;
    int64_t before = i ? r->arrival_ns[i - 1] : 0;
    if (r->arrival_ns[i] < before && !check_fail(c, "arrival_ns", i,
                                                 "%" G_GINT64_FORMAT " after %" G_GINT64_FORMAT
                                                 "; times start at 0 and never fall",
                                                 r->arrival_ns[i], before))
        return false;
    return check_tokens(c, "prompt", i, r->prompt[i]) && check_tokens(c, "output", i, r->output[i]);
}

/* Numbers in order of first appearance: each is at most one above all before. */
static bool
check_dense(requests_check *c, const char *tensor, uint64_t i, uint32_t number, uint32_t *n)
{
    if (number > *n)
        return check_fail(c, tensor, i, "number %u, but the next new one is %u", number, *n);
    *n += number == *n;
    return true;
}

static bool
check_blocks(requests_check *c, uint64_t i)
{
    moe_requests *r = c->requests;
    uint64_t first = r->block_first[i], end = r->block_first[i + 1];
    uint64_t wanted = ((uint64_t)r->prompt[i] + r->block_tokens - 1) / r->block_tokens;
    if (end < first || end > r->block_first[r->n] || (i == 0 && first != 0))
        return check_fail(c, "block_first", i,
                          "blocks %" G_GUINT64_FORMAT " .. %" G_GUINT64_FORMAT
                          " of %" G_GUINT64_FORMAT,
                          first, end, r->block_first[r->n]) &&
               false;
    if (end - first != wanted && end != first &&
        !check_fail(c, "block_first", i,
                    "%" G_GUINT64_FORMAT " blocks of %u tokens for a prompt of %u", end - first,
                    r->block_tokens, r->prompt[i]))
        return false;
    for (uint64_t j = first; j < end; j++)
        if (!check_dense(c, "blocks", i, r->blocks[j], &r->n_blocks))
            return false;
    return true;
}

static bool
check_model(requests_check *c, uint64_t i, uint32_t *n)
{
    const moe_requests *r = c->requests;
    if (!check_dense(c, "model", i, r->model[i], n))
        return false;
    return r->model[i] < r->n_models ||
           check_fail(c, "model", i, "number %u, but metadata 'models' names %u", r->model[i],
                      r->n_models);
}

/* What only the whole shows. */
static void
check_whole(requests_check *c, uint32_t n_models)
{
    const moe_requests *r = c->requests;
    int64_t last;
    if (r->model && n_models < r->n_models) {
        moe_diag_error(c->diag, c->loc, "metadata 'models' names %u, but %u of them appear",
                       r->n_models, n_models);
        c->errors++;
    }
    if (__builtin_add_overflow(r->epoch_ns, r->arrival_ns[r->n - 1], &last)) {
        moe_diag_error(c->diag, c->loc,
                       "tensor arrival_ns ends beyond 2^63 ns on the trace's clock");
        c->errors++;
    }
}

bool
moe_requests_check(moe_requests *r, moe_diag *diag)
{
    requests_check c = {r, {.file = moe_diag_intern(diag, r->path)}, diag, 0};
    uint32_t n_models = 0;
    r->n_blocks = r->n_sessions = 0;
    for (uint64_t i = 0; i < r->n; i++) {
        if (!check_request(&c, i) || (r->block_first && !check_blocks(&c, i)))
            break;
        if (r->session && r->session[i] != MOE_NONE &&
            !check_dense(&c, "session", i, r->session[i], &r->n_sessions))
            break;
        if (r->model && r->model[i] != MOE_REQUESTS_NO_MODEL && !check_model(&c, i, &n_models))
            break;
    }
    if (c.errors == 0)
        check_whole(&c, n_models);
    return c.errors == 0;
}
