/* The scanner of rows. A block of text ends with '\n' and no field reaches past one, so nothing
 * here asks for the end of the text. Messages are made where the row is refused, off the path. */
#include "traces/import/csv.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int
csv_column(const char *text, const char *at)
{
    int column = 1;
    for (; text < at; text++)
        column += ((unsigned char)*text & 0xC0) != 0x80;
    return column;
}

__attribute__((cold)) bool
csv_fail(csv_import *c, const char *at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *message = g_strdup_vprintf(fmt, args);
    va_end(args);
    moe_loc loc = {.file = c->file, .line = (int)MIN(c->line, (uint64_t)G_MAXINT)};
    loc.column = at ? csv_column(c->line_text, at) : 0;
    moe_diag_error(c->diag, loc, "%s", message);
    c->errors++;
    return false;
}

/* The word at a place, for messages; `buffer` is as long as a message can bear. */
static const char *
csv_word(const char *at, char buffer[24])
{
    size_t n = 0;
    for (; n < 20 && at[n] != ',' && at[n] != '\n' && at[n] != '\r' && at[n] != ' '; n++)
        buffer[n] = at[n] >= 0x20 && at[n] < 0x7F ? at[n] : '?';
    buffer[n] = '\0';
    return n ? buffer : "nothing";
}

__attribute__((cold)) static bool
csv_not_whole(csv_import *c, csv_kind kind, const char *at)
{
    char word[24];
    if (at[0] == '-' && at[1] >= '0' && at[1] <= '9')
        return csv_fail(c, at, "column '%s': %s is negative", csv_names[kind], csv_word(at, word));
    return csv_fail(c, at, "column '%s' wants a whole number, found %s", csv_names[kind],
                    csv_word(at, word));
}

__attribute__((cold)) static bool
csv_too_large(csv_import *c, csv_kind kind, const char *at, uint64_t max)
{
    char word[24];
    if (kind == CSV_EXPERTS && c->id_limit_given)
        return csv_fail(c, at, "expert %s, but there are %u experts", csv_word(at, word),
                        c->id_limit);
    return csv_fail(c, at, "column '%s': %s is too large (at most %" G_GUINT64_FORMAT ")",
                    csv_names[kind], csv_word(at, word), max);
}

static inline bool
csv_ends_number(char c)
{
    return c == ',' || c == ' ' || c == '\n' || c == '\r';
}

/* A whole number 0 .. max at *at, which moves behind it. */
static inline bool
csv_whole(csv_import *c, csv_kind kind, const char **at, uint64_t max, uint32_t *out)
{
    const char *p = *at;
    uint64_t value = (unsigned char)(*p - '0');
    if (MOE_UNLIKELY(value > 9))
        return csv_not_whole(c, kind, *at);
    for (unsigned digit; (digit = (unsigned char)(*++p - '0')) <= 9;)
        value = value * 10 + digit;
    if (MOE_UNLIKELY(!csv_ends_number(*p)))
        return csv_not_whole(c, kind, *at);
    if (MOE_UNLIKELY(value > max || p - *at > 18))
        return csv_too_large(c, kind, *at, max);
    *at = p;
    *out = (uint32_t)value;
    return true;
}

static inline const char *
csv_spaces(const char *at)
{
    while (*at == ' ')
        at++;
    return at;
}

static inline bool
csv_ends_field(const char *at)
{
    return *at == ',' || *at == '\n' || *at == '\r';
}

/* The experts of a row, appended to c->ids. */
static inline bool
csv_experts(csv_import *c, const char **at, uint32_t *n_out)
{
    const char *p = *at;
    uint32_t n = 0, stamp = (uint32_t)c->line;
    uint16_t *ids = c->ids + c->n_ids;
    do {
        uint32_t id = 0;
        if (MOE_UNLIKELY(n == MOE_ROUTING_MAX_K))
            return csv_fail(c, p, "more than %d experts in one row", MOE_ROUTING_MAX_K);
        const char *first = p;
        if (!csv_whole(c, CSV_EXPERTS, &p, c->id_limit - 1, &id))
            return false;
        if (MOE_UNLIKELY(c->stamps[id] == stamp))
            return csv_fail(c, first, "expert %u twice in one row", id);
        c->stamps[id] = stamp;
        if (id > c->max_id)
            c->max_id = id;
        ids[n++] = (uint16_t)id;
        p = csv_spaces(p);
    } while (!csv_ends_field(p));
    *n_out = n;
    *at = p;
    return true;
}

/* A finite decimal number. Few digits, as weights have, are exact by one division. */
static bool
csv_real(csv_import *c, const char **at, float *out)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const char *p = *at + (**at == '-' || **at == '+');
    uint64_t digits = 0;
    unsigned n_digits = 0, decimals = 0;
    bool exponent = false;
    double value;
    for (; (unsigned char)(*p - '0') <= 9; p++, n_digits++)
        digits = digits * 10 + (unsigned char)(*p - '0');
    if (*p == '.')
        for (p++; (unsigned char)(*p - '0') <= 9; p++, n_digits++, decimals++)
            digits = digits * 10 + (unsigned char)(*p - '0');
    if (n_digits && (*p == 'e' || *p == 'E')) {
        exponent = true;
        p += 1 + (p[1] == '-' || p[1] == '+');
        if ((unsigned char)(*p - '0') > 9)
            n_digits = 0;
        while ((unsigned char)(*p - '0') <= 9)
            p++;
    }
    if (n_digits && n_digits <= 15 && !exponent) {
        value = (double)digits / powers[decimals];
        value = **at == '-' ? -value : value;
    } else {
        value = n_digits ? g_ascii_strtod(*at, NULL) : 0;
    }
    *out = (float)value;
    if (n_digits == 0 || !csv_ends_number(*p) || !isfinite(*out)) {
        char word[24];
        return csv_fail(c, *at, "column 'weights' wants finite numbers, found %s",
                        csv_word(*at, word));
    }
    *at = p;
    return true;
}

static bool
csv_weights(csv_import *c, const char **at, uint32_t *n_out)
{
    const char *p = *at;
    uint32_t n = 0;
    float *weights = c->weights + c->n_ids;
    do {
        if (MOE_UNLIKELY(n == MOE_ROUTING_MAX_K))
            return csv_fail(c, p, "more than %d weights in one row", MOE_ROUTING_MAX_K);
        if (!csv_real(c, &p, &weights[n++]))
            return false;
        p = csv_spaces(p);
    } while (!csv_ends_field(p));
    *n_out = n;
    *at = p;
    return true;
}

static bool
csv_phase(csv_import *c, const char **at, uint32_t *out)
{
    static const struct {
        const char *text;
        moe_phase phase;
    } words[] = {
        {"0", MOE_PREFILL}, {"1", MOE_DECODE}, {"prefill", MOE_PREFILL}, {"decode", MOE_DECODE}};
    char word[24];
    csv_word(*at, word);
    for (size_t i = 0; i < MOE_COUNT(words); i++) {
        if (strcmp(word, words[i].text) == 0) {
            *out = words[i].phase;
            *at += strlen(word);
            return true;
        }
    }
    return csv_fail(c, *at, "column 'phase' wants 0 or prefill, 1 or decode, found %s",
                    csv_word(*at, word));
}

/* The token of a row that is not the one before: known or new. */
static bool
csv_find_token(csv_import *c, uint64_t key, uint32_t phase)
{
    uint32_t known = c->map.n, token = moe_index_map_add(&c->map, key);
    csv_tokens *t = &c->tokens;
    if (token == MOE_NONE || known == MOE_NONE - 1) {
        c->no_memory = true;
        return false;
    }
    c->token = token;
    c->token_key = key;
    if (token < known) {
        c->scattered = true;
        return true;
    }
    if (token == t->max) {
        size_t max = t->max ? t->max * 2 : 4096;
        void *sequence = g_try_realloc_n(t->sequence, max, sizeof *t->sequence);
        t->sequence = sequence ? sequence : t->sequence;
        void *position = g_try_realloc_n(t->position, max, sizeof *t->position);
        t->position = position ? position : t->position;
        void *phases = g_try_realloc_n(t->phase, max, sizeof *t->phase);
        t->phase = phases ? phases : t->phase;
        void *rows = g_try_realloc_n(t->first_row, max, sizeof *t->first_row);
        t->first_row = rows ? rows : t->first_row;
        if (!sequence || !position || !phases || !rows) {
            c->no_memory = true;
            return false;
        }
        t->max = max;
    }
    t->sequence[token] = (uint32_t)(key >> 32);
    t->position[token] = (uint32_t)key;
    t->phase[token] = (uint8_t)phase;
    t->first_row[token] = c->n_rows;
    return true;
}

static bool
csv_new_layer(csv_import *c, uint32_t layer)
{
    if (c->n_layers == MOE_ROUTING_MAX_LAYERS)
        return csv_fail(c, NULL, "more than %d layers", MOE_ROUTING_MAX_LAYERS);
    c->layers[layer] = 1;
    c->n_layers++;
    return true;
}

/* Room for one more row of any length. */
static bool
csv_reserve(csv_import *c)
{
    if (MOE_UNLIKELY(c->n_rows == c->max_rows)) {
        c->no_memory = c->n_rows > MOE_NONE / 2; /* rows and lines are counted in 32 bits */
        if (c->no_memory)
            return false;
        size_t max = c->max_rows ? c->max_rows * 2 : 65536;
        void *rows = g_try_realloc_n(c->rows, max, sizeof *c->rows);
        c->no_memory = !rows;
        if (!rows)
            return false;
        c->rows = rows;
        c->max_rows = max;
    }
    if (MOE_UNLIKELY(c->max_ids - c->n_ids < MOE_ROUTING_MAX_K)) {
        size_t max = c->max_ids ? c->max_ids * 2 : 65536;
        void *ids = g_try_realloc_n(c->ids, max, sizeof *c->ids);
        c->ids = ids ? ids : c->ids;
        void *weights =
            c->has_weights ? g_try_realloc_n(c->weights, max, sizeof *c->weights) : NULL;
        c->weights = weights ? weights : c->weights;
        c->no_memory = !ids || (c->has_weights && !weights);
        if (c->no_memory)
            return false;
        c->max_ids = max;
    }
    return true;
}

/* What the fields of a row say. */
typedef struct csv_fields {
    uint32_t seq, pos, layer, phase, n_experts, n_weights;
} csv_fields;

static inline bool
csv_field(csv_import *c, csv_kind kind, const char **at, csv_fields *f)
{
    switch (kind) {
    case CSV_SEQ:
        return csv_whole(c, kind, at, MOE_NONE - 1, &f->seq);
    case CSV_POS:
        return csv_whole(c, kind, at, MOE_NONE - 1, &f->pos);
    case CSV_LAYER:
        return csv_whole(c, kind, at, CSV_MAX_LAYER, &f->layer);
    case CSV_EXPERTS:
        return csv_experts(c, at, &f->n_experts);
    case CSV_WEIGHTS:
        return csv_weights(c, at, &f->n_weights);
    case CSV_PHASE:
        return csv_phase(c, at, &f->phase);
    case CSV_IGNORED:
        while (!csv_ends_field(*at))
            ++*at;
    }
    return true;
}

/* The fields of the line at *at, which moves to its '\n'. */
static inline bool
csv_fields_read(csv_import *c, const char **at, csv_fields *f)
{
    const char *p = *at;
    for (uint32_t i = 0; i < c->n_columns; i++) {
        p = csv_spaces(p);
        if (!csv_field(c, c->columns[i], &p, f))
            return false;
        p = csv_spaces(p);
        if (i + 1 == c->n_columns)
            break;
        if (MOE_UNLIKELY(*p != ','))
            return csv_fail(c, p, "%s; the header names %u columns",
                            csv_ends_field(p) ? "the row ends early" : "wants ','", c->n_columns);
        p++;
    }
    p += *p == '\r';
    if (MOE_UNLIKELY(*p != '\n'))
        return csv_fail(c, p, "the row goes on; the header names %u columns", c->n_columns);
    *at = p;
    return true;
}

static inline bool
csv_row_read(csv_import *c, const char **at)
{
    csv_fields f = {.phase = MOE_DECODE};
    if (!csv_fields_read(c, at, &f))
        return false;
    if (MOE_UNLIKELY(c->has_weights && f.n_weights != f.n_experts))
        return csv_fail(c, NULL, "%u weights for %u experts", f.n_weights, f.n_experts);
    uint64_t key = (uint64_t)f.seq << 32 | f.pos;
    if (MOE_UNLIKELY(key != c->token_key || c->n_rows == 0)) {
        if (!csv_find_token(c, key, f.phase))
            return false;
    }
    if (MOE_UNLIKELY(c->has_phase && c->tokens.phase[c->token] != f.phase))
        return csv_fail(c, NULL, "another phase than in the token's row in line %" G_GUINT64_FORMAT,
                        c->tokens.first_row[c->token] + 2);
    if (MOE_UNLIKELY(!c->layers[f.layer]) && !csv_new_layer(c, f.layer))
        return false;
    c->rows[c->n_rows++] = (csv_row){c->token, (uint16_t)f.layer, (uint16_t)f.n_experts};
    c->n_ids += f.n_experts;
    if (f.n_experts > c->k)
        c->k = f.n_experts;
    return true;
}

/* Blank lines are fine at the end of the file only. */
static bool
csv_blank(csv_import *c, const char *at)
{
    at = csv_spaces(at);
    at += *at == '\r';
    if (*at != '\n')
        return false;
    if (!c->blank_line)
        c->blank_line = c->line;
    return true;
}

bool
csv_lines(csv_import *c, const char *text, const char *end)
{
    while (text < end) {
        c->line_text = text;
        c->line++;
        if (!csv_reserve(c))
            return false;
        if (MOE_UNLIKELY(*text < '0') && csv_blank(c, text)) {
            text = (const char *)memchr(text, '\n', (size_t)(end - text)) + 1;
            continue;
        }
        if (MOE_UNLIKELY(c->blank_line)) {
            c->line = c->blank_line;
            return csv_fail(c, NULL, "blank line between rows");
        }
        if (MOE_LIKELY(csv_row_read(c, &text))) {
            text++;
            continue;
        }
        if (c->no_memory || c->errors >= MOE_ROUTING_MAX_ERRORS)
            return false;
        text = (const char *)memchr(c->line_text, '\n', (size_t)(end - c->line_text)) + 1;
    }
    return true;
}
