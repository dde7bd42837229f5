/* Views: time by step, by stage, by layer, and of kernels. */
#include "analysis/interval.h"
#include "analysis/recording_private.h"
#include "analysis/recording_view.h"

#include <string.h>

enum { N_SLOTS = 256 }; /* stages, and MOE_RECORDING_NO_STAGE */

/* Time that devices computed, of activities of one stage (or of all: -1), over all units. */
static int64_t
busy_time(const moe_recording *recording, int stage)
{
    int64_t total = 0;
    for (uint32_t unit = 0; unit < recording->n_units; unit++) {
        size_t from, to;
        g_autoptr(GArray) busy = moe_intervals_new();
        moe_recording_unit_range(recording, unit, &from, &to);
        for (size_t i = from; i < to; i++) {
            const moe_work *activity = moe_recording_work(recording, i);
            if (moe_work_computes(activity) && (stage < 0 || activity->stage == stage))
                moe_intervals_add(busy, activity->start, activity->end);
        }
        moe_intervals_unite(busy);
        total += moe_intervals_total(busy);
    }
    return total;
}

/* ---- stages ---- */

typedef struct stage_sum {
    int64_t kernels, kernel_ns, copies, copy_ns, ranges, host_ns;
} stage_sum;

static void
sum_stages(const moe_recording *recording, stage_sum *sums)
{
    for (guint i = 0; i < recording->activities->len; i++) {
        const moe_work *activity = moe_recording_work(recording, i);
        stage_sum *sum = &sums[activity->stage];
        bool computes = moe_work_computes(activity);
        sum->kernels += computes;
        sum->kernel_ns += computes ? activity->end - activity->start : 0;
        sum->copies += !computes;
        sum->copy_ns += computes ? 0 : activity->end - activity->start;
    }
    for (guint i = 0; i < recording->ranges->len; i++) {
        const moe_stage_range *range = &g_array_index(recording->ranges, moe_stage_range, i);
        sums[range->stage].ranges++;
        sums[range->stage].host_ns += range->self;
    }
}

static void
add_stage(const moe_recording *recording, const stage_sum *sum, const stage_sum *all, int stage,
          moe_view *view)
{
    moe_view_add(view,
                 moe_text(stage < 0 ? "all" : moe_recording_stage(recording, (uint8_t)stage)));
    moe_view_add(view, moe_int(sum->kernels));
    moe_view_add(view, moe_int(sum->kernel_ns));
    moe_view_add(view, moe_int(sum->kernels ? busy_time(recording, stage) : 0));
    moe_view_add(view, moe_view_ratio((double)sum->kernel_ns, (double)all->kernel_ns));
    moe_view_add(view, moe_int(sum->copies));
    moe_view_add(view, moe_int(sum->copy_ns));
    moe_view_add(view, moe_int(sum->ranges));
    moe_view_add(view, moe_int(sum->host_ns));
    moe_view_add(view, moe_view_ratio((double)sum->host_ns, (double)all->host_ns));
}

void
moe_view_stages(const moe_recording *recording, const moe_view_config *config, moe_view *view)
{
    static const moe_field fields[] = {
        {"stage", "stage", MOE_FIELD_TEXT},           {"kernels", "kernels", MOE_FIELD_COUNT},
        {"device_ns", "device ms", MOE_FIELD_MS},     {"busy_ns", "busy ms", MOE_FIELD_MS},
        {"device_share", "share %", MOE_FIELD_SHARE}, {"copies", "copies", MOE_FIELD_COUNT},
        {"copy_ns", "copy ms", MOE_FIELD_MS},         {"ranges", "ranges", MOE_FIELD_COUNT},
        {"host_ns", "host ms", MOE_FIELD_MS},         {"host_share", "share %", MOE_FIELD_SHARE},
    };
    stage_sum sums[N_SLOTS] = {{0}}, all = {0};
    moe_view_fields(view, fields, MOE_COUNT(fields));
    sum_stages(recording, sums);
    for (size_t s = 0; s < N_SLOTS; s++) {
        all.kernels += sums[s].kernels;
        all.kernel_ns += sums[s].kernel_ns;
        all.copies += sums[s].copies;
        all.copy_ns += sums[s].copy_ns;
        all.ranges += sums[s].ranges;
        all.host_ns += sums[s].host_ns;
    }
    for (int s = 0; s < N_SLOTS; s++)
        if (sums[s].kernels || sums[s].copies || sums[s].ranges)
            add_stage(recording, &sums[s], &all, s, view);
    if (view->cells->len == 0)
        return;
    add_stage(recording, &all, &all, -1, view);
    moe_view_note(view, "device: durations of kernels and graphs; busy: the same where what "
                        "overlaps counts once; host: ranges less the stages within them");
}

/* ---- layers ---- */

typedef struct layer_row {
    int64_t layer;
    int64_t ns[N_SLOTS];
} layer_row;

static int
by_layer(const void *a, const void *b)
{
    const layer_row *const *x = a, *const *y = b;
    return MOE_ORDER((*x)->layer, (*y)->layer);
}

static void
add_time(GHashTable *rows, int64_t layer, uint8_t stage, int64_t ns)
{
    layer_row *row = g_hash_table_lookup(rows, &layer);
    if (!row) {
        row = g_new0(layer_row, 1);
        row->layer = layer;
        g_hash_table_insert(rows, &row->layer, row);
    }
    row->ns[stage] += ns;
}

static GHashTable *
time_by_layer(const moe_recording *recording)
{
    GHashTable *rows = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    bool device = false;
    for (guint i = 0; i < recording->activities->len; i++) {
        const moe_work *activity = moe_recording_work(recording, i);
        if (!moe_work_computes(activity))
            continue;
        device = true;
        add_time(rows, activity->layer, activity->stage, activity->end - activity->start);
    }
    for (guint i = 0; !device && i < recording->ranges->len; i++) {
        const moe_stage_range *range = &g_array_index(recording->ranges, moe_stage_range, i);
        add_time(rows, range->layer, range->stage, range->self);
    }
    return rows;
}

static void
add_layer(const moe_recording *recording, const layer_row *row, moe_view *view)
{
    int64_t other = 0, all = 0;
    for (size_t s = 0; s < N_SLOTS; s++) {
        all += row->ns[s];
        other += s >= MOE_RECORDING_STAGES ? row->ns[s] : 0;
    }
    moe_view_add(view, moe_view_number(row->layer));
    for (size_t s = 0; s < MOE_RECORDING_STAGES; s++)
        moe_view_add(view, moe_int(row->ns[s]));
    moe_view_add(view, moe_int(other));
    moe_view_add(view, moe_int(all));
}

void
moe_view_layers(const moe_recording *recording, const moe_view_config *config, moe_view *view)
{
    static const moe_field fields[] = {
        {"layer", "layer", MOE_FIELD_ID},
        {"embed_ns", "embed", MOE_FIELD_MS},
        {"attention_ns", "attention", MOE_FIELD_MS},
        {"router_ns", "router", MOE_FIELD_MS},
        {"dispatch_ns", "dispatch", MOE_FIELD_MS},
        {"experts_ns", "experts", MOE_FIELD_MS},
        {"combine_ns", "combine", MOE_FIELD_MS},
        {"unembed_ns", "unembed", MOE_FIELD_MS},
        {"other_ns", "other", MOE_FIELD_MS},
        {"all_ns", "all", MOE_FIELD_MS},
    };
    g_autoptr(GHashTable) rows = time_by_layer(recording);
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();
    GHashTableIter iter;
    gpointer row;
    g_hash_table_iter_init(&iter, rows);
    while (g_hash_table_iter_next(&iter, NULL, &row))
        g_ptr_array_add(sorted, row);
    moe_view_fields(view, fields, MOE_COUNT(fields));
    g_ptr_array_sort(sorted, by_layer);
    for (guint i = 0; i < sorted->len; i++)
        add_layer(recording, sorted->pdata[i], view);
    if (sorted->len > 0 && recording->n_kernels == 0)
        moe_view_note(view, "time of the host: no kernel was recorded");
}

/* ---- steps ---- */

static int
by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return MOE_ORDER(*x, *y);
}

/* Computing and copying of all units, united. */
static GArray *
united(const moe_recording *recording, bool computing)
{
    GArray *set = moe_intervals_new();
    for (guint i = 0; i < recording->activities->len; i++) {
        const moe_work *activity = moe_recording_work(recording, i);
        if (moe_work_computes(activity) == computing)
            moe_intervals_add(set, activity->start, activity->end);
    }
    moe_intervals_unite(set);
    return set;
}

static void
add_phase(const moe_recording *recording, const char *phase, const GArray *computing,
          const GArray *copying, moe_view *view)
{
    g_autoptr(GArray) times = g_array_new(FALSE, FALSE, sizeof(int64_t));
    int64_t tokens = 0, all = 0, computed = 0, copied = 0, unended = 0;
    bool counted = false;
    for (guint i = 0; i < recording->steps->len; i++) {
        const moe_recording_step *step = &g_array_index(recording->steps, moe_recording_step, i);
        if (strcmp(step->phase, phase) != 0)
            continue;
        unended += step->end < step->start;
        if (step->end < step->start)
            continue;
        int64_t took = step->end - step->start;
        g_array_append_val(times, took);
        all += took;
        counted = counted || step->tokens != MOE_RECORDING_UNKNOWN;
        tokens += step->tokens > 0 ? step->tokens : 0;
        computed += moe_intervals_within(computing, step->start, step->end);
        copied += moe_intervals_within(copying, step->start, step->end);
    }
    g_array_sort(times, by_value);
    guint n = times->len;
    moe_view_add(view, moe_text(*phase ? phase : "unknown"));
    moe_view_add(view, moe_int(n));
    moe_view_add(view, counted ? moe_int(tokens) : moe_null());
    moe_view_add(view, moe_int(all));
    moe_view_add(view, n ? moe_int(g_array_index(times, int64_t, (n - 1) / 2)) : moe_null());
    moe_view_add(view, n ? moe_int(g_array_index(times, int64_t, n - 1)) : moe_null());
    moe_view_add(view, counted ? moe_view_ratio((double)tokens * 1e9, (double)all) : moe_null());
    moe_view_add(view, moe_view_ratio((double)computed, (double)all));
    moe_view_add(view, moe_view_ratio((double)copied, (double)all));
    if (unended)
        moe_view_note(view, "%lld steps never ended", (long long)unended);
}

void
moe_view_steps(const moe_recording *recording, const moe_view_config *config, moe_view *view)
{
    static const moe_field fields[] = {
        {"phase", "phase", MOE_FIELD_TEXT},           {"steps", "steps", MOE_FIELD_COUNT},
        {"tokens", "tokens", MOE_FIELD_COUNT},        {"all_ns", "all ms", MOE_FIELD_MS},
        {"median_ns", "median ms", MOE_FIELD_MS},     {"largest_ns", "longest ms", MOE_FIELD_MS},
        {"tokens_per_s", "tokens/s", MOE_FIELD_REAL}, {"computing", "computing %", MOE_FIELD_SHARE},
        {"copying", "copying %", MOE_FIELD_SHARE},
    };
    g_autoptr(GArray) computing = united(recording, true), copying = united(recording, false);
    g_autoptr(GPtrArray) seen = g_ptr_array_new();
    moe_view_fields(view, fields, MOE_COUNT(fields));
    for (guint i = 0; i < recording->steps->len; i++) {
        const char *phase = g_array_index(recording->steps, moe_recording_step, i).phase;
        if (!g_ptr_array_find_with_equal_func(seen, phase, g_str_equal, NULL))
            g_ptr_array_add(seen, (gpointer)(uintptr_t)phase);
    }
    for (guint i = 0; i < seen->len; i++)
        add_phase(recording, seen->pdata[i], computing, copying, view);
}

/* ---- kernels ---- */

typedef struct kernel_sum {
    const char *name;
    int64_t n, ns, shortest, longest;
    uint8_t stage;
} kernel_sum;

static int
by_stage_and_time(const void *a, const void *b)
{
    const kernel_sum *x = a, *y = b;
    int order = MOE_ORDER(x->stage, y->stage);
    order = order ? order : MOE_ORDER(y->ns, x->ns);
    return order ? order : strcmp(x->name, y->name);
}

/* Names are unique texts of the profile: a pointer stands for each. */
static GArray *
sum_kernels(const moe_recording *recording)
{
    GArray *sums = g_array_new(FALSE, FALSE, sizeof(kernel_sum));
    GHashTable *index[N_SLOTS] = {NULL};
    for (guint i = 0; i < recording->activities->len; i++) {
        const moe_work *activity = moe_recording_work(recording, i);
        if (!moe_work_computes(activity))
            continue;
        GHashTable **of = &index[activity->stage];
        *of = *of ? *of : g_hash_table_new(NULL, NULL);
        guint at = GPOINTER_TO_UINT(g_hash_table_lookup(*of, activity->text));
        if (at == 0) {
            kernel_sum fresh = {activity->text, 0, 0, INT64_MAX, 0, activity->stage};
            g_array_append_val(sums, fresh);
            at = sums->len;
            g_hash_table_insert(*of, (gpointer)(uintptr_t)activity->text, GUINT_TO_POINTER(at));
        }
        kernel_sum *sum = &g_array_index(sums, kernel_sum, at - 1);
        int64_t took = activity->end - activity->start;
        sum->n++;
        sum->ns += took;
        sum->shortest = MIN(sum->shortest, took);
        sum->longest = MAX(sum->longest, took);
    }
    for (size_t s = 0; s < N_SLOTS; s++)
        g_clear_pointer(&index[s], g_hash_table_unref);
    g_array_sort(sums, by_stage_and_time);
    return sums;
}

void
moe_view_kernels(const moe_recording *recording, const moe_view_config *config, moe_view *view)
{
    static const moe_field fields[] = {
        {"stage", "stage", MOE_FIELD_TEXT},         {"n", "n", MOE_FIELD_COUNT},
        {"all_ns", "all ms", MOE_FIELD_MS},         {"share", "share %", MOE_FIELD_SHARE},
        {"mean_ns", "mean us", MOE_FIELD_US},       {"shortest_ns", "shortest us", MOE_FIELD_US},
        {"longest_ns", "longest us", MOE_FIELD_US}, {"kernel", "kernel", MOE_FIELD_TEXT},
    };
    g_autoptr(GArray) sums = sum_kernels(recording);
    int64_t all = 0, shown = 0, left_out = 0;
    moe_view_fields(view, fields, MOE_COUNT(fields));
    for (guint i = 0; i < sums->len; i++)
        all += g_array_index(sums, kernel_sum, i).ns;
    for (guint i = 0; i < sums->len; i++) {
        const kernel_sum *sum = &g_array_index(sums, kernel_sum, i);
        bool same = i > 0 && g_array_index(sums, kernel_sum, i - 1).stage == sum->stage;
        shown = same ? shown + 1 : 1;
        left_out += shown > config->top;
        if (shown > config->top)
            continue;
        moe_view_add(view, moe_text(moe_recording_stage(recording, sum->stage)));
        moe_view_add(view, moe_int(sum->n));
        moe_view_add(view, moe_int(sum->ns));
        moe_view_add(view, moe_view_ratio((double)sum->ns, (double)all));
        moe_view_add(view, moe_real((double)sum->ns / (double)sum->n));
        moe_view_add(view, moe_int(sum->shortest));
        moe_view_add(view, moe_int(sum->longest));
        moe_view_add(view, moe_text(sum->name));
    }
    if (left_out)
        moe_view_note(view, "%lld kernels that took less are left out; --top shows more",
                      (long long)left_out);
}
