#include "profiler/profile_nest_private.h"

#include <string.h>

/* ---- settled ---- */

static const moe_profile_meaning *
range_meaning(const moe_nest *r, const nest_range *of)
{
    return NEST_AT(r->of_meaning, moe_profile_meaning, of->meaning);
}

static void
range_find_meaning(moe_nest *r, nest_range *of)
{
    uint64_t key = (uint64_t)of->domain << 32 | of->text;
    uint32_t known = r->meanings.n;
    of->meaning = moe_index_map_add(&r->meanings, key);
    moe_assert(of->meaning != MOE_NONE, "no memory for %u texts", known);
    if (of->meaning == known) {
        const nest_text *domain =
            of->domain == MOE_NONE ? NULL : NEST_AT(r->texts, nest_text, of->domain);
        const nest_text *said =
            of->text == MOE_NONE ? NULL : NEST_AT(r->texts, nest_text, of->text);
        moe_profile_meaning meaning =
            moe_profile_meaning_of(domain ? domain->bytes : NULL, domain ? domain->n : 0,
                                   said ? said->bytes : NULL, said ? said->n : 0);
        g_array_append_val(r->of_meaning, meaning);
    }
}

/* A range around a step is one, unless the engine told the step as well. */
static void
range_take_step(moe_nest *r, nest_range *of)
{
    const moe_profile_meaning *meaning = range_meaning(r, of);
    bool whole = of->payload_type == MOE_PAYLOAD_UNSIGNED || of->payload_type == MOE_PAYLOAD_SIGNED;
    uint64_t number = meaning->told ? meaning->number : of->payload;
    if (!meaning->told && (!whole || (int64_t)of->payload < 0)) {
        r->odd_stage++;
        return;
    }
    uint32_t known = r->numbers.n, at = moe_index_map_add(&r->numbers, number);
    int64_t phase = (int64_t)of->category - MOE_PROFILE_STEP_CATEGORY;
    if (at == known) {
        nest_step new = {(int64_t)number,
                         of->start_ns,
                         of->end_ns,
                         of->thread,
                         moe_profile_phase(phase) ? (int32_t)phase : -1,
                         -1,
                         -1,
                         true};
        g_array_append_val(r->steps, new);
        of->step = at;
        return;
    }
    nest_step *told = NEST_AT(r->steps, nest_step, at);
    r->twice += told->of_range;
    if (told->phase < 0 && moe_profile_phase(phase))
        told->phase = (int32_t)phase;
    of->step = at;
}

/* Outer ranges stand before inner ones. */
static void
range_inherit(moe_nest *r)
{
    for (guint i = 0; i < r->ranges->len; i++) {
        nest_range *of = NEST_AT(r->ranges, nest_range, i);
        range_find_meaning(r, of);
        const moe_profile_meaning *meaning = range_meaning(r, of);
        if (of->parent != MOE_NONE) {
            of->stage = NEST_AT(r->ranges, nest_range, of->parent)->stage;
            of->step = NEST_AT(r->ranges, nest_range, of->parent)->step;
        }
        if (meaning->step && of->kind != MOE_NEST_MARK)
            range_take_step(r, of);
        if (meaning->stage && of->kind != MOE_NEST_MARK)
            of->stage = i;
        r->odd_stage += meaning->odd;
    }
}

static gint
range_by_start(gconstpointer a, gconstpointer b, gpointer data)
{
    const moe_nest *r = data;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    uint64_t x = NEST_AT(r->steps, nest_step, i)->start_ns,
             y = NEST_AT(r->steps, nest_step, j)->start_ns;
    return x != y ? (x < y ? -1 : 1) : (i > j) - (i < j);
}

/* The index of the step running at a time, best in that thread. Steps of one thread do not overlap,
 * so a few before the last that began are enough. */
static uint32_t
range_running(const moe_nest *r, uint64_t time_ns, uint32_t thread)
{
    enum { BACK = 16 };
    guint low = 0, high = r->order->len;
    uint32_t any = MOE_NONE;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (NEST_AT(r->steps, nest_step, *NEST_AT(r->order, uint32_t, middle))->start_ns <= time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    for (guint i = low; i > 0 && low - i < BACK; i--) {
        uint32_t index = *NEST_AT(r->order, uint32_t, i - 1);
        const nest_step *s = NEST_AT(r->steps, nest_step, index);
        if (s->end_ns < time_ns)
            continue;
        if (s->thread == thread)
            return index;
        any = any == MOE_NONE ? index : any;
    }
    return any;
}

static int64_t
range_layer(const moe_nest *r, const nest_range *of)
{
    const moe_profile_meaning *meaning = range_meaning(r, of);
    bool whole = of->payload_type == MOE_PAYLOAD_UNSIGNED || of->payload_type == MOE_PAYLOAD_SIGNED;
    if (meaning->told)
        return meaning->number;
    const nest_text *domain =
        of->domain == MOE_NONE ? NULL : NEST_AT(r->texts, nest_text, of->domain);
    bool ours = domain && strcmp(domain->bytes, MOE_PROFILE_DOMAIN) == 0;
    return ours && whole && of->payload < MOE_NONE ? (int64_t)of->payload : MOE_PROFILE_NULL;
}

static void
range_write(moe_nest *r, guint i, uint64_t end_ns, moe_profile_writer *writer)
{
    static const char *const kinds[] = {"push", "start", "mark"};
    nest_range *of = NEST_AT(r->ranges, nest_range, i);
    const nest_text *domain =
        of->domain == MOE_NONE ? NULL : NEST_AT(r->texts, nest_text, of->domain);
    const nest_text *said = of->text == MOE_NONE ? NULL : NEST_AT(r->texts, nest_text, of->text);
    moe_profile_range row = {
        .id = r->row0 + i + 1,
        .pid = r->pid,
        .range = of->id ? (int64_t)of->id : MOE_PROFILE_NULL,
        .thread = of->thread,
        .category = of->category ? (int64_t)of->category : MOE_PROFILE_NULL,
        .start_ns = (int64_t)of->start_ns,
        .end_ns = of->end_ns == NEST_OPEN ? MOE_PROFILE_NULL : (int64_t)of->end_ns,
        .depth = of->depth,
        .parent = of->parent == MOE_NONE ? MOE_PROFILE_NULL : r->row0 + of->parent + 1,
        .kind = kinds[of->kind],
        .domain = domain ? domain->bytes : NULL,
        .text = said ? said->bytes : NULL,
        .payload_type = of->payload_type,
        .payload = of->payload};
    moe_profile_add_range(writer, &row);
    if (of->stage != i)
        return;
    uint64_t end = of->end_ns == NEST_OPEN ? MAX(end_ns, of->start_ns) : of->end_ns;
    moe_profile_stage stage = {.range = row.id,
                               .pid = r->pid,
                               .step = of->step == MOE_NONE
                                           ? MOE_PROFILE_NULL
                                           : NEST_AT(r->steps, nest_step, of->step)->step,
                               .layer = range_layer(r, of),
                               .start_ns = row.start_ns,
                               .end_ns = (int64_t)end,
                               .stage = range_meaning(r, of)->stage};
    moe_profile_add_stage(writer, &stage);
}

static void
range_write_steps(moe_nest *r, moe_profile_writer *writer)
{
    for (guint i = 0; i < r->steps->len; i++) {
        const nest_step *s = NEST_AT(r->steps, nest_step, i);
        moe_profile_step row = {.pid = r->pid,
                                .step = s->step,
                                .tokens = s->tokens < 0 ? MOE_PROFILE_NULL : s->tokens,
                                .sequences = s->sequences < 0 ? MOE_PROFILE_NULL : s->sequences,
                                .start_ns = (int64_t)s->start_ns,
                                .end_ns =
                                    s->end_ns == NEST_OPEN ? MOE_PROFILE_NULL : (int64_t)s->end_ns,
                                .phase = moe_profile_phase(s->phase)};
        moe_profile_add_step(writer, &row);
        r->open_steps += s->end_ns == NEST_OPEN;
    }
}

static void
range_note(moe_profile_writer *writer, const moe_nest *r, const char *code, uint64_t n)
{
    if (n)
        moe_profile_note(writer, r->pid, MOE_PROFILE_NULL, code, n, NULL);
}

void
moe_nest_settle(moe_nest *r, uint64_t end_ns, moe_profile_writer *writer)
{
    uint64_t open = 0;
    for (guint i = 0; i < r->early->len; i++)
        r->stray += !moe_nest_close(r, NEST_AT(r->early, nest_ending, i)->id,
                                    NEST_AT(r->early, nest_ending, i)->time_ns);
    range_inherit(r);
    for (uint32_t i = 0; i < r->steps->len; i++)
        g_array_append_val(r->order, i);
    g_array_sort_with_data(r->order, range_by_start, r);
    r->row0 = (int64_t)moe_profile_writer_summary(writer)->ranges;
    for (guint i = 0; i < r->ranges->len; i++) {
        nest_range *of = NEST_AT(r->ranges, nest_range, i);
        if (of->step == MOE_NONE)
            of->step = range_running(r, of->start_ns, of->thread);
        open += of->end_ns == NEST_OPEN;
        range_write(r, i, end_ns, writer);
    }
    range_write_steps(r, writer);
    range_note(writer, r, "range_open", open);
    range_note(writer, r, "range_stray", r->stray);
    range_note(writer, r, "log_odd", r->backward);
    range_note(writer, r, "stage_unknown", r->odd_stage);
    range_note(writer, r, "step_twice", r->twice);
    range_note(writer, r, "step_open", r->open_steps);
}

/* ---- asked ---- */

moe_profile_place
moe_nest_place(const moe_nest *r, uint64_t id)
{
    moe_profile_place place = MOE_PROFILE_NOWHERE;
    uint32_t index = moe_nest_find(r, id);
    if (index == MOE_NONE)
        return place;
    const nest_range *of = NEST_AT(r->ranges, nest_range, index);
    place.range = r->row0 + index + 1;
    if (of->step != MOE_NONE)
        place.step = NEST_AT(r->steps, nest_step, of->step)->step;
    if (of->stage != MOE_NONE) {
        const nest_range *stage = NEST_AT(r->ranges, nest_range, of->stage);
        place.stage = range_meaning(r, stage)->stage;
        place.layer = range_layer(r, stage);
    }
    return place;
}

static gint
range_by_thread(gconstpointer a, gconstpointer b, gpointer data)
{
    const moe_nest *r = data;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    const nest_range *x = NEST_AT(r->ranges, nest_range, i), *y = NEST_AT(r->ranges, nest_range, j);
    if (x->thread != y->thread)
        return x->thread < y->thread ? -1 : 1;
    if (x->start_ns != y->start_ns)
        return x->start_ns < y->start_ns ? -1 : 1;
    return (i > j) - (i < j);
}

void
moe_nest_index(moe_nest *r)
{
    for (uint32_t i = 0; i < r->ranges->len; i++)
        if (NEST_AT(r->ranges, nest_range, i)->kind == MOE_NEST_PUSH)
            g_array_append_val(r->by_thread, i);
    g_array_sort_with_data(r->by_thread, range_by_thread, r);
}

uint64_t
moe_nest_at(const moe_nest *r, uint32_t thread, uint64_t time_ns)
{
    guint low = 0, high = r->by_thread->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        const nest_range *of =
            NEST_AT(r->ranges, nest_range, *NEST_AT(r->by_thread, uint32_t, middle));
        if (of->thread < thread || (of->thread == thread && of->start_ns <= time_ns))
            low = middle + 1;
        else
            high = middle;
    }
    uint32_t at = low ? *NEST_AT(r->by_thread, uint32_t, low - 1) : MOE_NONE;
    if (at == MOE_NONE || NEST_AT(r->ranges, nest_range, at)->thread != thread)
        return 0;
    while (at != MOE_NONE && NEST_AT(r->ranges, nest_range, at)->end_ns < time_ns)
        at = NEST_AT(r->ranges, nest_range, at)->parent;
    return at == MOE_NONE ? 0 : NEST_AT(r->ranges, nest_range, at)->id;
}

int64_t
moe_nest_step_at(const moe_nest *r, uint64_t time_ns, uint32_t thread)
{
    uint32_t at = range_running(r, time_ns, thread);
    return at == MOE_NONE ? MOE_PROFILE_NULL : NEST_AT(r->steps, nest_step, at)->step;
}

uint64_t
moe_nest_n(const moe_nest *r)
{
    return r->ranges->len;
}

uint64_t
moe_nest_first_ns(const moe_nest *r)
{
    return r->first_ns;
}

uint64_t
moe_nest_last_ns(const moe_nest *r)
{
    return r->last_ns;
}
