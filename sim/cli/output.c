#include "sim/cli/output.h"

#include "sim/cli/command.h"
#include "traces/output.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WIDTH 96

static int write_errno; /* of the first write to standard output that failed */

static void
note_failure(bool failed)
{
    if (failed && write_errno == 0)
        write_errno = errno ? errno : EIO;
}

void
moe_out(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    note_failure(vprintf(fmt, args) < 0);
    va_end(args);
}

void
moe_out_text(const char *text)
{
    note_failure(fputs(text, stdout) < 0);
}

bool
moe_out_file(const char *path, const GString *text, GError **error)
{
    moe_output *output = moe_output_new(path, error);
    if (!output)
        return false;
    moe_output_write(output, text->str, text->len);
    if (!moe_output_finish(output, error))
        return false;
    moe_out("%s written\n", path);
    return true;
}

void
moe_say(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    fflush(stdout);
    fprintf(stderr, "moesim: %s\n", text);
}

int
moe_out_room(const char *path, bool force)
{
    if (!path || force || !g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return MOE_EXIT_OK;
    moe_say("%s exists; --force replaces it", path);
    return MOE_EXIT_ENVIRONMENT;
}

int
moe_say_diag(const moe_diag *diag)
{
    g_autofree char *text = moe_diag_render(diag);
    fflush(stdout);
    fputs(text, stderr);
    if (moe_diag_is_misuse(diag))
        return MOE_EXIT_USAGE;
    return moe_diag_errors(diag) ? MOE_EXIT_INPUT : MOE_EXIT_OK;
}

int
moe_say_error(GError *error)
{
    moe_say("%s", error->message);
    g_error_free(error);
    return MOE_EXIT_ENVIRONMENT;
}

int
moe_say_usage(const char *path, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    moe_say("%s\ntry '%s --help'", text, path);
    return MOE_EXIT_USAGE;
}

/* A reader that went away (`moesim list | head`) is told apart from a disk that is full: it is no
 * error worth a message, and the code is what the shell reports for SIGPIPE. */
int
moe_out_finish(int code)
{
    errno = 0;
    note_failure(fflush(stdout) != 0 || ferror(stdout));
    if (write_errno == 0)
        return code;
    if (write_errno == EPIPE)
        return MOE_EXIT_SIGNAL + SIGPIPE;
    fprintf(stderr, "moesim: standard output: %s\n", g_strerror(write_errno));
    return MOE_EXIT_ENVIRONMENT;
}

/* ---- columns ---- */

struct moe_grid {
    size_t columns;
    GPtrArray *cells;
};

moe_grid *
moe_grid_new(size_t columns)
{
    moe_grid *grid = g_new(moe_grid, 1);
    grid->columns = columns;
    grid->cells = g_ptr_array_new_with_free_func(g_free);
    return grid;
}

void
moe_grid_free(moe_grid *grid)
{
    if (!grid)
        return;
    g_ptr_array_unref(grid->cells);
    g_free(grid);
}

void
moe_grid_add(moe_grid *grid, const char *text)
{
    g_ptr_array_add(grid->cells, g_strdup(text));
}

void
moe_grid_addf(moe_grid *grid, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_ptr_array_add(grid->cells, g_strdup_vprintf(fmt, args));
    va_end(args);
}

static const char *
grid_cell(const moe_grid *grid, size_t row, size_t column)
{
    size_t at = row * grid->columns + column;
    return at < grid->cells->len ? g_ptr_array_index(grid->cells, at) : "";
}

static size_t
grid_rows(const moe_grid *grid)
{
    return (grid->cells->len + grid->columns - 1) / grid->columns;
}

static bool
is_number(const char *text)
{
    return !*text || g_ascii_isdigit(text[strspn(text, "+-")]) || !strcmp(text, "–");
}

/* A column of numbers under its heading. */
static bool
column_right(const moe_grid *grid, size_t column, bool heading)
{
    for (size_t row = heading; row < grid_rows(grid); row++)
        if (!is_number(grid_cell(grid, row, column)))
            return false;
    return grid_rows(grid) > (size_t)heading;
}

static size_t
column_width(const moe_grid *grid, size_t column)
{
    size_t width = 0;
    for (size_t row = 0; row < grid_rows(grid); row++)
        width = MAX(width, (size_t)g_utf8_strlen(grid_cell(grid, row, column), -1));
    return width;
}

size_t
moe_grid_width(const moe_grid *grid)
{
    size_t width = 2 * (grid->columns - 1);
    for (size_t c = 0; c < grid->columns; c++)
        width += column_width(grid, c);
    return width;
}

void
moe_grid_print(const moe_grid *grid, bool heading, const char *indent)
{
    g_autofree size_t *widths = g_new(size_t, grid->columns);
    g_autofree bool *right = g_new(bool, grid->columns);
    for (size_t c = 0; c < grid->columns; c++) {
        widths[c] = column_width(grid, c);
        right[c] = column_right(grid, c, heading);
    }
    for (size_t row = 0; row < grid_rows(grid); row++) {
        g_autoptr(GString) line = g_string_new(indent);
        for (size_t c = 0; c < grid->columns; c++) {
            const char *cell = grid_cell(grid, row, c);
            int pad = (int)(widths[c] - (size_t)g_utf8_strlen(cell, -1));
            g_string_append_printf(line, "%s%*s%s%*s", c ? "  " : "", right[c] ? pad : 0, "", cell,
                                   right[c] ? 0 : pad, "");
        }
        while (line->len && line->str[line->len - 1] == ' ')
            g_string_truncate(line, line->len - 1);
        moe_out("%s\n", line->str);
    }
}

void
moe_out_wrapped(const char *text, size_t at, size_t indent)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    bool fresh = true;
    for (size_t i = 0; words[i]; i++) {
        size_t length = (size_t)g_utf8_strlen(words[i], -1);
        if (!fresh && at + 1 + length > WIDTH) {
            moe_out("\n%*s", (int)indent, "");
            at = indent;
            fresh = true;
        }
        moe_out("%s%s", fresh ? "" : " ", words[i]);
        at += length + !fresh;
        fresh = false;
    }
    moe_out_text("\n");
}
