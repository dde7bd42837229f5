#include "profiler/profile_nest.h"

#include "profiler/profile_stages.h"
#include "traces/index_map.h"

#include <string.h>

typedef struct range {
    uint64_t id, start_ns, end_ns, payload; /* end_ns OPEN: not ended */
    uint32_t thread, domain, text, category;
    uint32_t parent; /* index; MOE_NONE: none */
    uint32_t stage;  /* index of the innermost stage from here outwards; MOE_NONE: none */
    uint32_t step;   /* index of the step; MOE_NONE: none */
    uint32_t meaning;
    uint16_t depth;
    uint8_t kind, payload_type;
} range;
#define OPEN UINT64_MAX
enum { DEEPEST = 4096 }; /* ranges in one another; more are inside the last of them */

typedef struct step {
    int64_t step;
    uint64_t start_ns, end_ns;
    uint32_t thread;
    int32_t phase, tokens, sequences;
    bool of_range; /* not told by the engine */
} step;

typedef struct ending {
    uint64_t id, time_ns;
} ending;

typedef struct text {
    char *bytes; /* with a zero */
    size_t n;
} text;

struct moe_nest {
    int64_t pid, row0; /* row id of the first range, less 1 */
    GArray *ranges, *steps, *texts, *early;
    GHashTable *numbers_of_texts;
    GArray *by_thread;      /* indices of pushed ranges by thread and start */
    moe_index_map ids;      /* range id -> */
    GArray *of_id;          /* index of the range */
    moe_index_map threads;  /* thread -> */
    GPtrArray *stacks;      /* GArray of the indices of its open ranges */
    moe_index_map numbers;  /* of steps, as they are begun */
    moe_index_map meanings; /* domain << 32 | text -> */
    GArray *of_meaning;     /* moe_profile_meaning */
    GArray *order;          /* of steps by start */
    uint64_t first_ns, last_ns, stray, backward, odd_stage, twice, open_steps;
};

#define AT(array, type, i) (&g_array_index(array, type, i))

/* ---- life ---- */

static void
range_clear_text(gpointer data)
{
    g_free(((text *)data)->bytes);
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
    r->ranges = g_array_new(FALSE, FALSE, sizeof(range));
    r->steps = g_array_new(FALSE, FALSE, sizeof(step));
    r->texts = g_array_new(FALSE, FALSE, sizeof(text));
    g_array_set_clear_func(r->texts, range_clear_text);
    r->numbers_of_texts = g_hash_table_new(g_str_hash, g_str_equal);
    r->by_thread = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    r->early = g_array_new(FALSE, FALSE, sizeof(ending));
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
    text copy = {valid, strlen(valid)};
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

/* The index of the range of an id; MOE_NONE: none. */
static uint32_t
range_find(const moe_nest *r, uint64_t id)
{
    if (id == 0 || r->ids.n == 0)
        return MOE_NONE;
    uint32_t at = r->ids.values[moe_index_map_slot(&r->ids, id)];
    return at == MOE_NONE ? MOE_NONE : *AT(r->of_id, uint32_t, at);
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
    range new = {.id = b->id,
                 .start_ns = b->time_ns,
                 .end_ns = b->kind == MOE_NEST_MARK ? b->time_ns : OPEN,
                 .payload = b->payload,
                 .thread = b->thread,
                 .domain = b->domain,
                 .text = b->text,
                 .category = b->category,
                 .parent = stack->len ? *AT(stack, uint32_t, stack->len - 1) : MOE_NONE,
                 .stage = MOE_NONE,
                 .step = MOE_NONE,
                 .depth = (uint16_t)MIN(stack->len, (guint)UINT16_MAX),
                 .kind = (uint8_t)b->kind,
                 .payload_type = (uint8_t)b->payload_type};
    g_array_append_val(r->ranges, new);
    if (b->kind == MOE_NEST_PUSH && stack->len < DEEPEST)
        g_array_append_val(stack, index);
    range_seen(r, b->time_ns);
    return true;
}

bool
moe_nest_add(moe_nest *r, const moe_nest_range *b, uint64_t end_ns)
{
    GArray *stack = range_stack(r, b->thread);
    guint n = stack->len;
    while (n && AT(r->ranges, range, *AT(stack, uint32_t, n - 1))->end_ns <= b->time_ns)
        n--;
    g_array_set_size(stack, n);
    if (!moe_nest_begin(r, b))
        return false;
    range *added = AT(r->ranges, range, r->ranges->len - 1);
    if (b->kind != MOE_NEST_MARK)
        added->end_ns = end_ns == OPEN ? OPEN : MAX(end_ns, b->time_ns);
    if (end_ns != OPEN)
        range_seen(r, end_ns);
    return true;
}

/* False: no range of that id is open. */
static bool
range_close(moe_nest *r, uint64_t id, uint64_t time_ns)
{
    uint32_t index = range_find(r, id);
    range *found = index == MOE_NONE ? NULL : AT(r->ranges, range, index);
    if (!found || found->end_ns != OPEN)
        return false;
    if (time_ns < found->start_ns)
        r->backward++;
    found->end_ns = MAX(time_ns, found->start_ns);
    GArray *stack = found->kind == MOE_NEST_PUSH ? range_stack(r, found->thread) : NULL;
    for (guint i = stack ? stack->len : 0; i-- > 0;)
        if (*AT(stack, uint32_t, i) == index) {
            g_array_remove_index(stack, i);
            break;
        }
    return true;
}

void
moe_nest_end(moe_nest *r, uint64_t id, uint64_t time_ns)
{
    range_seen(r, time_ns);
    ending end = {id, time_ns};
    if (!range_close(r, id, time_ns))
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
    step new = {s->step, s->time_ns, OPEN, s->thread, s->phase, s->tokens, s->sequences, false};
    g_array_append_val(r->steps, new);
}

static step *
range_step(const moe_nest *r, int64_t number)
{
    uint32_t at = r->numbers.n
                      ? r->numbers.values[moe_index_map_slot(&r->numbers, (uint64_t)number)]
                      : MOE_NONE;
    return at == MOE_NONE ? NULL : AT(r->steps, step, at);
}

void
moe_nest_step_end(moe_nest *r, int64_t number, uint64_t time_ns)
{
    step *found = range_step(r, number);
    range_seen(r, time_ns);
    if (found && found->end_ns == OPEN)
        found->end_ns = MAX(time_ns, found->start_ns);
    else
        r->stray++;
}

/* ---- settled ---- */

static const moe_profile_meaning *
range_meaning(const moe_nest *r, const range *of)
{
    return AT(r->of_meaning, moe_profile_meaning, of->meaning);
}

static void
range_find_meaning(moe_nest *r, range *of)
{
    uint64_t key = (uint64_t)of->domain << 32 | of->text;
    uint32_t known = r->meanings.n;
    of->meaning = moe_index_map_add(&r->meanings, key);
    moe_assert(of->meaning != MOE_NONE, "no memory for %u texts", known);
    if (of->meaning == known) {
        const text *domain = of->domain == MOE_NONE ? NULL : AT(r->texts, text, of->domain);
        const text *said = of->text == MOE_NONE ? NULL : AT(r->texts, text, of->text);
        moe_profile_meaning meaning =
            moe_profile_meaning_of(domain ? domain->bytes : NULL, domain ? domain->n : 0,
                                   said ? said->bytes : NULL, said ? said->n : 0);
        g_array_append_val(r->of_meaning, meaning);
    }
}

/* A range around a step is one, unless the engine told the step as well. */
static void
range_take_step(moe_nest *r, range *of)
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
        step new = {(int64_t)number,
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
    step *told = AT(r->steps, step, at);
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
        range *of = AT(r->ranges, range, i);
        range_find_meaning(r, of);
        const moe_profile_meaning *meaning = range_meaning(r, of);
        if (of->parent != MOE_NONE) {
            of->stage = AT(r->ranges, range, of->parent)->stage;
            of->step = AT(r->ranges, range, of->parent)->step;
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
    uint64_t x = AT(r->steps, step, i)->start_ns, y = AT(r->steps, step, j)->start_ns;
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
        if (AT(r->steps, step, *AT(r->order, uint32_t, middle))->start_ns <= time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    for (guint i = low; i > 0 && low - i < BACK; i--) {
        uint32_t index = *AT(r->order, uint32_t, i - 1);
        const step *s = AT(r->steps, step, index);
        if (s->end_ns < time_ns)
            continue;
        if (s->thread == thread)
            return index;
        any = any == MOE_NONE ? index : any;
    }
    return any;
}

static int64_t
range_layer(const moe_nest *r, const range *of)
{
    const moe_profile_meaning *meaning = range_meaning(r, of);
    bool whole = of->payload_type == MOE_PAYLOAD_UNSIGNED || of->payload_type == MOE_PAYLOAD_SIGNED;
    if (meaning->told)
        return meaning->number;
    const text *domain = of->domain == MOE_NONE ? NULL : AT(r->texts, text, of->domain);
    bool ours = domain && strcmp(domain->bytes, MOE_PROFILE_DOMAIN) == 0;
    return ours && whole && of->payload < MOE_NONE ? (int64_t)of->payload : MOE_PROFILE_NULL;
}

static void
range_write(moe_nest *r, guint i, uint64_t end_ns, moe_profile_writer *writer)
{
    static const char *const kinds[] = {"push", "start", "mark"};
    range *of = AT(r->ranges, range, i);
    const text *domain = of->domain == MOE_NONE ? NULL : AT(r->texts, text, of->domain);
    const text *said = of->text == MOE_NONE ? NULL : AT(r->texts, text, of->text);
    moe_profile_range row = {.id = r->row0 + i + 1,
                             .pid = r->pid,
                             .range = of->id ? (int64_t)of->id : MOE_PROFILE_NULL,
                             .thread = of->thread,
                             .category = of->category ? (int64_t)of->category : MOE_PROFILE_NULL,
                             .start_ns = (int64_t)of->start_ns,
                             .end_ns = of->end_ns == OPEN ? MOE_PROFILE_NULL : (int64_t)of->end_ns,
                             .depth = of->depth,
                             .parent = of->parent == MOE_NONE ? MOE_PROFILE_NULL
                                                              : r->row0 + of->parent + 1,
                             .kind = kinds[of->kind],
                             .domain = domain ? domain->bytes : NULL,
                             .text = said ? said->bytes : NULL,
                             .payload_type = of->payload_type,
                             .payload = of->payload};
    moe_profile_add_range(writer, &row);
    if (of->stage != i)
        return;
    uint64_t end = of->end_ns == OPEN ? MAX(end_ns, of->start_ns) : of->end_ns;
    moe_profile_stage stage = {.range = row.id,
                               .pid = r->pid,
                               .step = of->step == MOE_NONE ? MOE_PROFILE_NULL
                                                            : AT(r->steps, step, of->step)->step,
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
        const step *s = AT(r->steps, step, i);
        moe_profile_step row = {.pid = r->pid,
                                .step = s->step,
                                .tokens = s->tokens < 0 ? MOE_PROFILE_NULL : s->tokens,
                                .sequences = s->sequences < 0 ? MOE_PROFILE_NULL : s->sequences,
                                .start_ns = (int64_t)s->start_ns,
                                .end_ns = s->end_ns == OPEN ? MOE_PROFILE_NULL : (int64_t)s->end_ns,
                                .phase = moe_profile_phase(s->phase)};
        moe_profile_add_step(writer, &row);
        r->open_steps += s->end_ns == OPEN;
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
        r->stray += !range_close(r, AT(r->early, ending, i)->id, AT(r->early, ending, i)->time_ns);
    range_inherit(r);
    for (uint32_t i = 0; i < r->steps->len; i++)
        g_array_append_val(r->order, i);
    g_array_sort_with_data(r->order, range_by_start, r);
    r->row0 = (int64_t)moe_profile_writer_summary(writer)->ranges;
    for (guint i = 0; i < r->ranges->len; i++) {
        range *of = AT(r->ranges, range, i);
        if (of->step == MOE_NONE)
            of->step = range_running(r, of->start_ns, of->thread);
        open += of->end_ns == OPEN;
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
    uint32_t index = range_find(r, id);
    if (index == MOE_NONE)
        return place;
    const range *of = AT(r->ranges, range, index);
    place.range = r->row0 + index + 1;
    if (of->step != MOE_NONE)
        place.step = AT(r->steps, step, of->step)->step;
    if (of->stage != MOE_NONE) {
        const range *stage = AT(r->ranges, range, of->stage);
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
    const range *x = AT(r->ranges, range, i), *y = AT(r->ranges, range, j);
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
        if (AT(r->ranges, range, i)->kind == MOE_NEST_PUSH)
            g_array_append_val(r->by_thread, i);
    g_array_sort_with_data(r->by_thread, range_by_thread, r);
}

uint64_t
moe_nest_at(const moe_nest *r, uint32_t thread, uint64_t time_ns)
{
    guint low = 0, high = r->by_thread->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        const range *of = AT(r->ranges, range, *AT(r->by_thread, uint32_t, middle));
        if (of->thread < thread || (of->thread == thread && of->start_ns <= time_ns))
            low = middle + 1;
        else
            high = middle;
    }
    uint32_t at = low ? *AT(r->by_thread, uint32_t, low - 1) : MOE_NONE;
    if (at == MOE_NONE || AT(r->ranges, range, at)->thread != thread)
        return 0;
    while (at != MOE_NONE && AT(r->ranges, range, at)->end_ns < time_ns)
        at = AT(r->ranges, range, at)->parent;
    return at == MOE_NONE ? 0 : AT(r->ranges, range, at)->id;
}

int64_t
moe_nest_step_at(const moe_nest *r, uint64_t time_ns, uint32_t thread)
{
    uint32_t at = range_running(r, time_ns, thread);
    return at == MOE_NONE ? MOE_PROFILE_NULL : AT(r->steps, step, at)->step;
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
