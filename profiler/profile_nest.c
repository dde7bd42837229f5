#include "profiler/profile_nest_private.h"

#include <string.h>

/* ---- life ---- */

static void
range_clear_text(gpointer data)
{
    g_free(((nest_text *)data)->bytes);
}

static void
range_free_stack(gpointer data)
{
    g_array_unref(data);
}

moe_nest *
moe_nest_new(int64_t pid)
{
    moe_nest *r = g_new0(moe_nest, 1);
    r->pid = pid;
    r->first_ns = UINT64_MAX;
    r->ranges = g_array_new(FALSE, FALSE, sizeof(nest_range));
    r->steps = g_array_new(FALSE, FALSE, sizeof(nest_step));
    r->texts = g_array_new(FALSE, FALSE, sizeof(nest_text));
    g_array_set_clear_func(r->texts, range_clear_text);
    r->numbers_of_texts = g_hash_table_new(g_str_hash, g_str_equal);
    r->by_thread = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    r->early = g_array_new(FALSE, FALSE, sizeof(nest_ending));
    r->of_id = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    r->stacks = g_ptr_array_new_with_free_func(range_free_stack);
    r->of_meaning = g_array_new(FALSE, FALSE, sizeof(moe_profile_meaning));
    r->order = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    return r;
}

void
moe_nest_free(moe_nest *r)
{
    if (!r)
        return;
    g_array_unref(r->ranges);
    g_array_unref(r->steps);
    g_hash_table_unref(r->numbers_of_texts);
    g_array_unref(r->by_thread);
    g_array_unref(r->texts);
    g_array_unref(r->early);
    g_array_unref(r->of_id);
    g_ptr_array_unref(r->stacks);
    g_array_unref(r->of_meaning);
    g_array_unref(r->order);
    moe_index_map_clear(&r->ids);
    moe_index_map_clear(&r->threads);
    moe_index_map_clear(&r->numbers);
    moe_index_map_clear(&r->meanings);
    g_free(r);
}

void
moe_nest_number(moe_nest *r, int64_t pid)
{
    r->pid = pid;
}

/* ---- said ---- */

uint32_t
moe_nest_text(moe_nest *r, const char *bytes, size_t n)
{
    if (!bytes)
        return MOE_NONE;
    g_autofree char *zeroed = g_strndup(bytes, n);
    char *valid = g_utf8_make_valid(zeroed, -1);
    gpointer number;
    if (g_hash_table_lookup_extended(r->numbers_of_texts, valid, NULL, &number)) {
        g_free(valid);
        return GPOINTER_TO_UINT(number);
    }
    nest_text copy = {valid, strlen(valid)};
    g_hash_table_insert(r->numbers_of_texts, valid, GUINT_TO_POINTER(r->texts->len));
    g_array_append_val(r->texts, copy);
    return r->texts->len - 1;
}

static void
range_seen(moe_nest *r, uint64_t time_ns)
{
    r->first_ns = MIN(r->first_ns, time_ns);
    r->last_ns = MAX(r->last_ns, time_ns);
}

static GArray *
range_stack(moe_nest *r, uint32_t thread)
{
    uint32_t known = r->threads.n, index = moe_index_map_add(&r->threads, thread);
    moe_assert(index != MOE_NONE, "no memory for %u threads", known);
    if (index == known)
        g_ptr_array_add(r->stacks, g_array_new(FALSE, FALSE, sizeof(uint32_t)));
    return r->stacks->pdata[index];
}

uint32_t
moe_nest_find(const moe_nest *r, uint64_t id)
{
    if (id == 0 || r->ids.n == 0)
        return MOE_NONE;
    uint32_t at = r->ids.values[moe_index_map_slot(&r->ids, id)];
    return at == MOE_NONE ? MOE_NONE : *NEST_AT(r->of_id, uint32_t, at);
}

bool
moe_nest_begin(moe_nest *r, const moe_nest_range *b)
{
    uint32_t index = r->ranges->len, known = r->ids.n;
    if (b->id) {
        if (moe_index_map_add(&r->ids, b->id) != known)
            return false;
        g_array_append_val(r->of_id, index);
    }
    GArray *stack = range_stack(r, b->thread);
    nest_range new = {.id = b->id,
                      .start_ns = b->time_ns,
                      .end_ns = b->kind == MOE_NEST_MARK ? b->time_ns : NEST_OPEN,
                      .payload = b->payload,
                      .thread = b->thread,
                      .domain = b->domain,
                      .text = b->text,
                      .category = b->category,
                      .parent = stack->len ? *NEST_AT(stack, uint32_t, stack->len - 1) : MOE_NONE,
                      .stage = MOE_NONE,
                      .step = MOE_NONE,
                      .depth = (uint16_t)MIN(stack->len, (guint)UINT16_MAX),
                      .kind = (uint8_t)b->kind,
                      .payload_type = (uint8_t)b->payload_type};
    g_array_append_val(r->ranges, new);
    if (b->kind == MOE_NEST_PUSH && stack->len < NEST_DEEPEST)
        g_array_append_val(stack, index);
    range_seen(r, b->time_ns);
    return true;
}

bool
moe_nest_add(moe_nest *r, const moe_nest_range *b, uint64_t end_ns)
{
    GArray *stack = range_stack(r, b->thread);
    guint n = stack->len;
    while (n &&
           NEST_AT(r->ranges, nest_range, *NEST_AT(stack, uint32_t, n - 1))->end_ns <= b->time_ns)
        n--;
    g_array_set_size(stack, n);
    if (!moe_nest_begin(r, b))
        return false;
    nest_range *added = NEST_AT(r->ranges, nest_range, r->ranges->len - 1);
    if (b->kind != MOE_NEST_MARK)
        added->end_ns = end_ns == NEST_OPEN ? NEST_OPEN : MAX(end_ns, b->time_ns);
    if (end_ns != NEST_OPEN)
        range_seen(r, end_ns);
    return true;
}

bool
moe_nest_close(moe_nest *r, uint64_t id, uint64_t time_ns)
{
    uint32_t index = moe_nest_find(r, id);
    nest_range *found = index == MOE_NONE ? NULL : NEST_AT(r->ranges, nest_range, index);
    if (!found || found->end_ns != NEST_OPEN)
        return false;
    if (time_ns < found->start_ns)
        r->backward++;
    found->end_ns = MAX(time_ns, found->start_ns);
    GArray *stack = found->kind == MOE_NEST_PUSH ? range_stack(r, found->thread) : NULL;
    for (guint i = stack ? stack->len : 0; i-- > 0;)
        if (*NEST_AT(stack, uint32_t, i) == index) {
            g_array_remove_index(stack, i);
            break;
        }
    return true;
}

void
moe_nest_end(moe_nest *r, uint64_t id, uint64_t time_ns)
{
    range_seen(r, time_ns);
    nest_ending end = {id, time_ns};
    if (!moe_nest_close(r, id, time_ns))
        g_array_append_val(r->early, end);
}

void
moe_nest_step_begin(moe_nest *r, const moe_nest_step *s)
{
    uint32_t known = r->numbers.n;
    range_seen(r, s->time_ns);
    if (moe_index_map_add(&r->numbers, (uint64_t)s->step) != known) {
        r->twice++;
        return;
    }
    nest_step new = {s->step,  s->time_ns, NEST_OPEN,    s->thread,
                     s->phase, s->tokens,  s->sequences, false};
    g_array_append_val(r->steps, new);
}

static nest_step *
range_step(const moe_nest *r, int64_t number)
{
    uint32_t at = r->numbers.n
                      ? r->numbers.values[moe_index_map_slot(&r->numbers, (uint64_t)number)]
                      : MOE_NONE;
    return at == MOE_NONE ? NULL : NEST_AT(r->steps, nest_step, at);
}

void
moe_nest_step_end(moe_nest *r, int64_t number, uint64_t time_ns)
{
    nest_step *found = range_step(r, number);
    range_seen(r, time_ns);
    if (found && found->end_ns == NEST_OPEN)
        found->end_ns = MAX(time_ns, found->start_ns);
    else
        r->stray++;
}
