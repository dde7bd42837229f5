#include "traces/transform/table.h"

#include "sim/base/data.h"
#include "sim/base/units.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

enum { TABLE_MAX_BYTES = 64 << 20, TABLE_MAX_ERRORS = 20, TABLE_CELLS = 3, TABLE_CELL = 64 };

typedef struct table_reader {
    const moe_table_shape *shape;
    const char *file; /* interned */
    moe_diag *diag;
    int line;
    unsigned errors;
    double *values;
} table_reader;

typedef struct table_cell {
    char text[TABLE_CELL];
    int column; /* from 1 */
} table_cell;

MOE_PRINTF(3, 4)
static void
table_fail(table_reader *r, int column, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    moe_diag_error(r->diag, (moe_loc){.file = r->file, .line = r->line, .column = column}, "%s",
                   text);
    r->errors++;
}

static uint32_t
table_columns(const table_reader *r)
{
    return 1 + (r->shape->n_experts ? 1u : 0) + (r->shape->column ? 1u : 0);
}

/* "layer,expert,bits" */
static char *
table_header(const table_reader *r)
{
    return g_strconcat("layer", r->shape->n_experts ? ",expert" : "", r->shape->column ? "," : "",
                       r->shape->column, NULL);
}

/* Splits a line into the wanted cells, more to the right ignored, blanks around them gone. */
static bool
table_split(table_reader *r, const char *at, const char *end, table_cell *cells)
{
    uint32_t wanted = table_columns(r), n = 0;
    const char *begin = at;
    for (;; at++) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end, *first = at, *last = stop;
        while (first < last && g_ascii_isspace(*first))
            first++;
        while (last > first && g_ascii_isspace(last[-1]))
            last--;
        bool fits =
            n < wanted && last - first < TABLE_CELL && !memchr(first, '\0', (size_t)(last - first));
        if (fits) {
            memcpy(cells[n].text, first, (size_t)(last - first));
            cells[n].text[last - first] = '\0';
            cells[n].column = (int)(first - begin) + 1;
        } else if (n < wanted) {
            table_fail(r, (int)(first - begin) + 1, "'%.16s…' is no number", first);
            return false;
        }
        n++;
        if (!comma)
            break;
        at = comma;
    }
    if (n >= wanted)
        return true;
    g_autofree char *header = table_header(r);
    table_fail(r, 1, "%u columns, but '%s' has %u", n, header, wanted);
    return false;
}

static bool
table_number(table_reader *r, const table_cell *cell, const char *what, uint32_t *out)
{
    int64_t value;
    if (moe_parse_int(cell->text, &value) && value >= 0 && value <= UINT32_MAX) {
        *out = (uint32_t)value;
        return true;
    }
    table_fail(r, cell->column, "'%s' is no %s", cell->text, what);
    return false;
}

/* The layers a line is about: first .. last in order of the trace. */
static bool
table_layers(table_reader *r, const table_cell *cell, uint32_t *first, uint32_t *last)
{
    const moe_table_shape *shape = r->shape;
    uint32_t number = 0;
    if (strcmp(cell->text, "*") == 0) {
        *first = 0;
        *last = shape->n_layers - 1;
        return true;
    }
    if (!table_number(r, cell, "layer", &number))
        return false;
    for (uint32_t l = 0; l < shape->n_layers; l++)
        if (shape->layer_ids[l] == number) {
            *first = *last = l;
            return true;
        }
    table_fail(r, cell->column, "the routing has no layer %u; its layers are %u to %u", number,
               shape->layer_ids[0], shape->layer_ids[shape->n_layers - 1]);
    return false;
}

static bool
table_value(table_reader *r, const table_cell *cell, double *value)
{
    const moe_table_shape *shape = r->shape;
    bool ok = moe_parse_real(cell->text, value);
    if (ok && *value >= shape->min && *value <= shape->max &&
        (!shape->whole || *value == floor(*value)))
        return true;
    table_fail(r, cell->column, "'%s' must be a %snumber from %g to %g, got '%s'", shape->column,
               shape->whole ? "whole " : "", shape->min, shape->max, cell->text);
    return false;
}

static void
table_line(table_reader *r, const char *text, const char *end)
{
    const moe_table_shape *shape = r->shape;
    table_cell cells[TABLE_CELLS];
    uint32_t first = 0, last = 0, expert = 0, n = 1, width = MAX(shape->n_experts, 1);
    double value = 1;
    if (!table_split(r, text, end, cells) || !table_layers(r, &cells[0], &first, &last))
        return;
    if (shape->n_experts) {
        if (!table_number(r, &cells[n], "expert", &expert))
            return;
        if (expert >= shape->n_experts) {
            table_fail(r, cells[n].column, "expert %u, but there are %u experts", expert,
                       shape->n_experts);
            return;
        }
        n++;
    }
    if (shape->column && !table_value(r, &cells[n], &value))
        return;
    for (uint32_t l = first; l <= last; l++) {
        double *at = &r->values[(size_t)l * width + expert];
        if (!isnan(*at)) {
            table_fail(r, 1,
                       shape->n_experts ? "layer %u, expert %u was there before"
                                        : "layer %u was there before",
                       shape->layer_ids[l], expert);
            return;
        }
        *at = value;
    }
}

double *
moe_table_parse(const char *name, const char *text, size_t length, const moe_table_shape *shape,
                moe_diag *diag)
{
    table_reader r = {.shape = shape, .file = moe_diag_intern(diag, name), .diag = diag};
    size_t n = (size_t)shape->n_layers * MAX(shape->n_experts, 1);
    r.values = g_new(double, n);
    for (size_t i = 0; i < n; i++)
        r.values[i] = NAN;
    bool header = false;
    for (const char *at = text, *all = text + length; at < all && r.errors < TABLE_MAX_ERRORS;) {
        const char *end = memchr(at, '\n', (size_t)(all - at));
        const char *stop = end ? end : all, *first = at;
        r.line++;
        while (first < stop && g_ascii_isspace(*first))
            first++;
        if (first < stop && *first != '#' && header) {
            table_line(&r, at, stop);
        } else if (first < stop && *first != '#') {
            g_autofree char *wanted = table_header(&r);
            g_autofree char *line = g_strndup(first, (size_t)(stop - first));
            size_t length_of = strlen(wanted);
            header =
                strncmp(line, wanted, length_of) == 0 &&
                (line[length_of] == ',' || g_ascii_isspace(line[length_of]) || !line[length_of]);
            if (!header) {
                table_fail(&r, 1, "the first line must be '%s'", wanted);
                break;
            }
        }
        at = stop + (end != NULL);
    }
    if (!header && r.errors == 0) {
        g_autofree char *wanted = table_header(&r);
        table_fail(&r, 0, "the first line must be '%s', and there is none", wanted);
    }
    if (r.errors == 0)
        return r.values;
    g_free(r.values);
    return NULL;
}

double *
moe_table_read(const moe_transform_job *job, const char *name, const moe_table_shape *shape)
{
    g_autofree char *path = moe_data_find(name, job->folder), *text = NULL;
    size_t length = 0;
    GError *error = NULL;
    if (!path) {
        moe_diag_error(job->diag, job->at, "there is no file '%s'", name);
        return NULL;
    }
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        moe_diag_error(job->diag, job->at, "%s is no regular file", path);
        return NULL;
    }
    if (stat(path, &status) == 0 && status.st_size > TABLE_MAX_BYTES) {
        moe_diag_error(job->diag, job->at, "%s is larger than %d MiB", path, TABLE_MAX_BYTES >> 20);
        return NULL;
    }
    if (!g_file_get_contents(path, &text, &length, &error)) {
        moe_diag_error(job->diag, job->at, "%s", error->message);
        g_error_free(error);
        return NULL;
    }
    return moe_table_parse(path, text, length, shape, job->diag);
}

moe_table_shape
moe_table_of(const moe_transform_job *job, const char *column, double min, double max, bool whole)
{
    const moe_routing *routing = job->routing;
    return (moe_table_shape){.layer_ids = routing->layer_ids,
                             .n_layers = routing->n_layers,
                             .n_experts = routing->n_experts,
                             .column = column,
                             .min = min,
                             .max = max,
                             .whole = whole};
}
