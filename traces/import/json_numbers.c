/* Regular nested arrays of whole numbers, read faster than by events. */
#include "traces/import/json_stream_state.h"

typedef struct json_nesting {
    moe_json_numbers *out;
    uint64_t max, counts[MOE_JSON_RANK];
    uint32_t level; /* arrays open, from 1 */
} json_nesting;

static const char *
json_put(json_nesting *n, int64_t value)
{
    moe_json_numbers *out = n->out;
    if (out->rank == 0)
        out->rank = n->level;
    if (n->level != out->rank)
        return "numbers at different depths";
    if (out->n == n->max) {
        uint64_t max = n->max ? n->max * 2 : 1024;
        int32_t *bigger =
            max > MOE_JSON_MAX_TEXT ? NULL : g_try_realloc_n(out->values, max, sizeof *bigger);
        if (!bigger)
            return "more numbers than there is memory for";
        out->values = bigger;
        n->max = max;
    }
    out->values[out->n++] = value > INT32_MAX   ? INT32_MAX
                            : value < INT32_MIN ? INT32_MIN
                                                : (int32_t)value;
    n->counts[n->level - 1]++;
    return NULL;
}

/* The innermost array ends: it must be as long as its siblings. */
static const char *
json_put_end(json_nesting *n)
{
    moe_json_numbers *out = n->out;
    uint32_t axis = --n->level;
    if (out->rank == 0)
        out->rank = axis + 1;
    if (axis >= out->rank)
        return "arrays at different depths";
    if (out->shape[axis] == UINT64_MAX)
        out->shape[axis] = n->counts[axis];
    if (out->shape[axis] != n->counts[axis])
        return "rows of different lengths";
    n->counts[axis] = 0;
    if (axis > 0)
        n->counts[axis - 1]++;
    return NULL;
}

/* Numbers one after another as far as they are short and whole, at most a space between them, and
 * there is room: most of a file. Stops in front of what it leaves to the events, which find the
 * state right.
 */
static void
json_quick(moe_json_stream *s, json_nesting *n)
{
    moe_json_numbers *out = n->out;
    const char *at = s->at, *end = s->end - 16;
    uint64_t before = out->n;
    bool more = s->state != JSON_MORE && n->level == out->rank;
    while (more && at < end && out->n < n->max) {
        at += *at == ' ';
        const char *c = at + (*at == '-'), *first = c;
        uint32_t value = (unsigned char)(*c - '0');
        if (value > 9)
            break;
        for (uint32_t digit; (digit = (unsigned char)(*++c - '0')) <= 9 && c - first < 9;)
            value = value * 10 + digit;
        if ((*c != ',' && *c != ']') || (*first == '0' && c - first > 1))
            break;
        out->values[out->n++] = first > at ? -(int32_t)value : (int32_t)value;
        more = *c == ',';
        s->state = more ? JSON_VALUE : JSON_MORE;
        at = c + more;
    }
    s->at = at;
    n->counts[n->level - 1] += out->n - before;
}

static const char *
json_numbers(moe_json_stream *s, json_nesting *n, bool *broken)
{
    const char *why = NULL;
    int64_t value;
    while (n->level && !why) {
        json_quick(s, n);
        moe_json_event event = moe_json_next(s);
        *broken = event == MOE_JSON_WRONG || event == MOE_JSON_END;
        if (*broken)
            return "broken";
        if (event == MOE_JSON_NUMBER)
            why = moe_json_whole(s, &value) ? json_put(n, value) : "numbers that are not whole";
        else if (event == MOE_JSON_CLOSE)
            why = json_put_end(n);
        else if (event == MOE_JSON_ARRAY)
            why = n->level++ < MOE_JSON_RANK ? NULL : "nested deeper than 4 levels";
        else
            why = "something that is no number";
    }
    return why;
}

const char *
moe_json_numbers_read(moe_json_stream *s, moe_json_numbers *out, bool *broken)
{
    json_nesting n = {.out = out, .level = 1};
    *out = (moe_json_numbers){.shape = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    *broken = false;
    const char *why = json_numbers(s, &n, broken);
    for (uint32_t i = 0; i < MOE_JSON_RANK; i++)
        out->shape[i] = out->shape[i] == UINT64_MAX ? 0 : out->shape[i];
    if (!why)
        return NULL;
    g_free(out->values);
    *out = (moe_json_numbers){0};
    return why;
}
