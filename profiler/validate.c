#include "profiler/validate_private.h"

#include "profiler/least_squares.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* At the median of a kind of rows in a file: so much faster than the device's peaks, or so much
 * slower than what is foretold, and the times are in another unit. */
static const double impossible = 5, another_unit = 100;
/* A machine that stands for another may be so much slower. */
static const double further = 4;

/* ---- which machine, which library ---- */

/* A group in the making. */
typedef struct members {
    char *preset, *kernels; /* kernels "": the machine's own */
    char **others;          /* libraries of the same framework, the nearest first */
    GPtrArray *strangers;   /* what the preset stands for without having it, in words */
    GPtrArray *rows;        /* const moe_measured_row * */
} members;

static void
members_free(void *data)
{
    members *m = data;
    g_free(m->preset);
    g_free(m->kernels);
    g_strfreev(m->others);
    g_ptr_array_unref(m->strangers);
    g_ptr_array_unref(m->rows);
    g_free(m);
}

static int
by_names(const void *x, const void *y)
{
    const members *a = *(const members *const *)x, *b = *(const members *const *)y;
    int order = strcmp(a->preset, b->preset);
    return order ? order : strcmp(a->kernels, b->kernels);
}

static members *
find_members(GPtrArray *all, const char *preset, const char *kernels, char **others)
{
    for (guint i = 0; i < all->len; i++) {
        members *m = g_ptr_array_index(all, i);
        if (!strcmp(m->preset, preset) && !strcmp(m->kernels, kernels))
            return m;
    }
    members *m = g_new0(members, 1);
    *m = (members){.preset = g_strdup(preset),
                   .kernels = g_strdup(kernels),
                   .others = g_strdupv(others),
                   .strangers = g_ptr_array_new_with_free_func(g_free),
                   .rows = g_ptr_array_new()};
    g_ptr_array_add(all, m);
    return m;
}

static void
unknown_device(const moe_measured *table, const moe_measured_row *row, moe_diag *diag)
{
    moe_loc at = {.file = moe_measured_file(table, row->file), .line = (int)row->line};
    if (*row->device)
        moe_diag_error(diag, at,
                       "no machine of ours has a '%s': --device PRESET says which to take (moesim "
                       "list hardware), --not device='%s' goes without",
                       row->device, row->device);
    else
        moe_diag_error(diag, at, "the rows name no device: --device PRESET says which it is");
}

static void
add_stranger(members *m, const char *device, bool network)
{
    g_autofree char *what = g_strdup_printf("%s'%s'", network ? "the network of " : "", device);
    if (!g_ptr_array_find_with_equal_func(m->strangers, what, g_str_equal, NULL))
        g_ptr_array_add(m->strangers, g_steal_pointer(&what));
}

/* The group of rows like this one; NULL: no machine has the device, or one like it. */
static members *
place(GPtrArray *all, const moe_machines *machines, const moe_validate_options *o,
      const moe_measured_row *row)
{
    bool network = row->kind == MOE_MEASURED_COLLECTIVE;
    const char *preset = o->device;
    g_auto(GStrv) others = moe_framework_libraries(row->framework, row->version);
    const char *kernels = o->kernels ? o->kernels : others[0];
    if (o->kernels && !strcmp(o->kernels, MOE_KERNELS_OWN))
        kernels = NULL;
    if (!preset)
        preset = moe_machines_find(machines, row->device, network);
    if (!preset) /* then nothing foretells it */
        preset = moe_machines_find(machines, row->device, false);
    if (!preset)
        return NULL;
    members *m = find_members(all, preset, kernels ? kernels : "", others);
    if (!o->device && !moe_machines_has(machines, preset, row->device))
        add_stranger(m, row->device, network);
    return m;
}

/* Rows of one device, framework and version go the same way. */
static GPtrArray *
take_apart(const moe_measured *table, const moe_validate_options *o, moe_diag *diag)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(members_free);
    g_autoptr(GHashTable) ways = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) unknown = g_hash_table_new(g_str_hash, g_str_equal); /* devices */
    g_autoptr(moe_machines) machines = moe_machines_load();
    unsigned before = moe_diag_errors(diag);

    for (size_t i = 0; i < moe_measured_count(table); i++) {
        const moe_measured_row *row = moe_measured_at(table, i);
        void *known = NULL;
        g_autofree char *key = g_strdup_printf("%s\n%s\n%s\n%d", row->device, row->framework,
                                               row->version, row->kind == MOE_MEASURED_COLLECTIVE);
        if (!g_hash_table_lookup_extended(ways, key, NULL, &known)) {
            known = place(all, machines, o, row);
            g_hash_table_insert(ways, g_steal_pointer(&key), known);
            if (!known && g_hash_table_add(unknown, (gpointer)(uintptr_t)row->device))
                unknown_device(table, row, diag);
        }
        members *m = known;
        if (m)
            g_ptr_array_add(m->rows, (gpointer)(uintptr_t)row);
    }
    g_ptr_array_sort(all, by_names);
    return moe_diag_errors(diag) == before ? g_steal_pointer(&all) : NULL;
}

/* ---- predictions ---- */

static moe_bound
bound_of(const moe_cost *cost)
{
    double memory = cost->bytes_per_s > 0 ? cost->bytes / cost->bytes_per_s : 0;
    double compute = cost->flops_per_s > 0 ? cost->flops / cost->flops_per_s : 0;
    if ((double)cost->launch_ps > 0.5 * (double)cost->total_ps)
        return MOE_BOUND_FIXED;
    return compute > memory ? MOE_BOUND_COMPUTE : MOE_BOUND_MEMORY;
}

/* What a naive model says: the larger of bytes and FLOPs at the device's peaks, a collective's
 * bytes at its ports' peak. 0: not known. */
static double
roofline(const moe_candidate *machine, const moe_measured_row *row)
{
    const moe_hardware *hw = &machine->hw;
    const moe_device *device = &hw->devices[0];
    double flops = 0, bytes = 0, peak = moe_peak_flops(device, row->activation_bits);
    if (row->kind == MOE_MEASURED_COLLECTIVE)
        return moe_predict_wire(machine, row);
    if (row->kind > MOE_MEASURED_ATTENTION || row->kind == MOE_MEASURED_LAUNCH)
        return 0;
    moe_measured_amounts(row, &flops, &bytes);
    double memory = bytes / hw->places[device->place].read_bytes_per_s;
    return 1e6 * fmax(memory, peak > 0 ? flops / peak : 0);
}

/* What fits into the device's cache may be read from there, call after call. */
static bool
stays_in_cache(const moe_hardware *hw, const moe_measured_row *row)
{
    double flops = 0, bytes = 0;
    moe_measured_amounts(row, &flops, &bytes);
    return row->kind != MOE_MEASURED_COLLECTIVE && bytes <= (double)hw->devices[0].l2_bytes;
}

static void
foretell(moe_validation *v, uint32_t group, const moe_fit_choice *choice)
{
    const moe_calibration *c = g_array_index(v->groups, moe_validated_group, group).fit;
    for (size_t i = 0; i < c->rows->len; i++) {
        const moe_calibrated_row *one = &g_array_index(c->rows, moe_calibrated_row, i);
        moe_cost cost = moe_predict_cost(&c->after, one->row);
        moe_validated_row row = {
            .row = one->row,
            .measured_us = one->measured_us,
            .predicted_us = (double)cost.total_ps / 1e6,
            .roofline_us = roofline(&c->after, one->row),
            .merged = one->merged,
            .group = group,
            .fitted = choice->rows != MOE_FIT_NONE && !one->held && !*one->set_aside,
            .odd = one->set_aside,
            .bound = bound_of(&cost),
            .cached = stays_in_cache(&c->after.hw, one->row),
        };
        moe_validate_name_kernel(v, &c->after.devices[0], &row);
        g_array_append_val(v->rows, row);
    }
}

/* ---- units ---- */

static void
check_file(const moe_validation *v, size_t first, size_t end, moe_diag *diag)
{
    const moe_validated_row *rows = (const moe_validated_row *)(const void *)v->rows->data;
    g_autofree double *fast = g_new(double, end - first), *slow = g_new(double, end - first);
    size_t n_fast = 0, n_slow = 0;
    for (size_t i = first; i < end; i++) {
        if (rows[i].roofline_us > 0 && !rows[i].cached)
            fast[n_fast++] = rows[i].roofline_us / rows[i].measured_us;
        if (rows[i].predicted_us > 0)
            slow[n_slow++] = rows[i].measured_us / rows[i].predicted_us;
    }
    const moe_measured_row *row = rows[first].row;
    moe_loc at = {.file = moe_measured_file(v->table, row->file)};
    double above = n_fast ? moe_median(fast, n_fast) : 0;
    double behind = n_slow ? moe_median(slow, n_slow) : 0;
    const moe_validated_group *group =
        &g_array_index(v->groups, moe_validated_group, rows[first].group);
    const char *machine = group->preset;
    if (above > (*group->strangers ? further : 1) * impossible)
        moe_diag_error(diag, at,
                       "rows of kind %s are %.3g times as fast as the peaks of '%s' let them be, "
                       "at their median: are the times in a larger unit, or is it another device?",
                       moe_measured_kind_name(row->kind), above, machine);
    else if (behind > another_unit)
        moe_diag_error(diag, at,
                       "rows of kind %s take %.3g times what '%s' should, at their median: are the "
                       "times in a smaller unit, or is it another device?",
                       moe_measured_kind_name(row->kind), behind, machine);
}

static int
by_file(const void *x, const void *y)
{
    const moe_validated_row *a = x, *b = y;
    if (a->row->file != b->row->file)
        return a->row->file < b->row->file ? -1 : 1;
    if (a->row->kind != b->row->kind)
        return a->row->kind - b->row->kind;
    return (a->row->line > b->row->line) - (a->row->line < b->row->line);
}

/* File by file, and in each kind by kind. */
static bool
check_units(const moe_validation *v, moe_diag *diag)
{
    unsigned before = moe_diag_errors(diag);
    moe_validation files = *v;
    size_t n = v->rows->len;
    files.rows = g_array_sized_new(false, false, sizeof(moe_validated_row), (guint)n);
    g_array_append_vals(files.rows, v->rows->data, (guint)n);
    g_array_sort(files.rows, by_file);
    const moe_validated_row *rows = (const moe_validated_row *)(const void *)files.rows->data;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && rows[end].row->file == rows[i].row->file &&
                          rows[end].row->kind == rows[i].row->kind;)
            end++;
        check_file(&files, i, end, diag);
    }
    g_array_unref(files.rows);
    return moe_diag_errors(diag) == before;
}

/* ---- the whole ---- */

/* How far the work has come: by rows of the groups that are done, and within one of them. */
typedef struct progress {
    const moe_validate_options *o;
    double rows, done, here;
} progress;

static void
within(void *context, double share)
{
    progress *p = context;
    if (p->o->progress)
        p->o->progress(p->o->context, (p->done + share * p->here) / p->rows);
}

/* A NULL-terminated array: yours. */
static char **
copy_of(const GPtrArray *texts)
{
    char **copy = g_new0(char *, texts->len + 1);
    for (guint i = 0; i < texts->len; i++)
        copy[i] = g_strdup(g_ptr_array_index(texts, i));
    return copy;
}

static bool
add_group(moe_validation *v, const members *m, const moe_validate_options *o, progress *p,
          moe_diag *diag, GError **error)
{
    const moe_kernels *kernels = NULL, *second = NULL;
    moe_hardware_set *machine = moe_hardware_load(m->preset, NULL, (moe_loc){0}, diag, error);
    if (!machine)
        return false;
    g_ptr_array_add(v->machines, machine);
    const moe_kernels *last = o->kernels ? NULL : moe_hardware_get(machine)->devices[0].kernels;
    if (!moe_validate_libraries(v, m->kernels, o->kernels ? NULL : m->others, last, &kernels,
                                &second, diag, error))
        return false;
    moe_validated_group group = {
        .preset = g_strdup(m->preset),
        .kernels = g_strdup(kernels ? kernels->name : ""),
        .strangers = copy_of(m->strangers),
        .fit = moe_calibrate_chosen(v->table, machine, kernels, second,
                                    (const moe_measured_row **)(void *)m->rows->pdata, m->rows->len,
                                    &o->fit, within, p, diag),
    };
    g_array_append_val(v->groups, group);
    foretell(v, v->groups->len - 1, &o->fit);
    return true;
}

/* Whether a fit that was asked for fitted anything; else what it wants. */
static bool
check_fit(const moe_validation *v, const moe_validate_options *o, moe_diag *diag)
{
    const moe_calibrated *lacks = NULL;
    for (guint g = 0; g < v->groups->len && o->fit.rows != MOE_FIT_NONE; g++) {
        size_t n = 0;
        const moe_calibrated *all =
            moe_calibration_numbers(g_array_index(v->groups, moe_validated_group, g).fit, &n);
        for (size_t i = 0; i < n; i++) {
            if (all[i].fitted || strstr(all[i].remark, "as well as it is"))
                return true;
            if (!lacks || strstr(all[i].remark, "wanted"))
                lacks = &all[i];
        }
    }
    if (lacks)
        moe_diag_error(diag, (moe_loc){.file = moe_measured_file(v->table, 0)},
                       "nothing can be fitted to the rows that are not held back: %s: %s; two rows "
                       "are wanted for each number of a kernel, a link or a network",
                       lacks->key, lacks->remark);
    return !lacks;
}

moe_validation *
moe_validate(const moe_measured *table, const moe_validate_options *o, moe_diag *diag,
             GError **error)
{
    g_autoptr(GPtrArray) all = take_apart(table, o, diag);
    g_autoptr(moe_validation) v = g_new0(moe_validation, 1);
    v->table = table;
    v->rows = g_array_new(false, true, sizeof(moe_validated_row));
    v->groups = g_array_new(false, true, sizeof(moe_validated_group));
    v->families = g_array_new(false, true, sizeof(moe_family));
    v->labels = g_string_chunk_new(4096);
    v->machines = g_ptr_array_new_with_free_func((GDestroyNotify)moe_hardware_free);
    v->libraries = g_ptr_array_new_with_free_func((GDestroyNotify)moe_kernels_free);
    v->known = g_ptr_array_new();
    v->joined = g_ptr_array_new_with_free_func((GDestroyNotify)moe_kernels_unjoin);
    progress p = {.o = o, .rows = (double)moe_measured_count(table)};
    for (guint i = 0; all && i < all->len; i++) {
        const members *m = g_ptr_array_index(all, i);
        p.here = (double)m->rows->len;
        within(&p, 0);
        if (!add_group(v, m, o, &p, diag, error))
            return NULL;
        p.done += p.here;
    }
    if (!all || !check_units(v, diag) || !check_fit(v, o, diag))
        return NULL;
    moe_validate_score(v);
    return g_steal_pointer(&v);
}

void
moe_validation_free(moe_validation *v)
{
    if (!v)
        return;
    for (guint i = 0; i < v->groups->len; i++) {
        moe_validated_group *group = &g_array_index(v->groups, moe_validated_group, i);
        g_free(group->preset);
        g_free(group->kernels);
        g_strfreev(group->strangers);
        moe_calibration_free(group->fit);
    }
    for (guint i = 0; i < v->families->len; i++) {
        moe_family *family = &g_array_index(v->families, moe_family, i);
        g_free(family->name);
        g_array_unref(family->regimes);
    }
    g_array_unref(v->rows);
    g_array_unref(v->groups);
    g_array_unref(v->families);
    g_string_chunk_free(v->labels);
    g_ptr_array_unref(v->machines);
    g_ptr_array_unref(v->libraries);
    g_ptr_array_unref(v->joined);
    g_ptr_array_unref(v->known);
    g_free(v);
}

const moe_validated_row *
moe_validation_rows(const moe_validation *v, size_t *n)
{
    *n = v->rows->len;
    return (const moe_validated_row *)(const void *)v->rows->data;
}

const moe_validated_group *
moe_validation_groups(const moe_validation *v, size_t *n)
{
    *n = v->groups->len;
    return (const moe_validated_group *)(const void *)v->groups->data;
}

const moe_family *
moe_validation_families(const moe_validation *v, size_t *n)
{
    *n = v->families->len;
    return (const moe_family *)(const void *)v->families->data;
}

double
moe_validated_off(const moe_validated_row *row)
{
    if (!(row->predicted_us > 0))
        return 0;
    double ratio = row->predicted_us / row->measured_us;
    return fmax(ratio, 1 / ratio);
}

const char *
moe_bound_name(moe_bound bound)
{
    static const char *const names[] = {"fixed", "memory", "compute"};
    return names[bound];
}
