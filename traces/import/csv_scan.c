/* The scanner of rows. A line ends with '\n' and no field reaches past it, so nothing here asks for
 * the end of the text. Messages are made where the row is refused, off the path. */
#include "traces/import/csv.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((cold)) bool
csv_fail(csv_import *c, const char *at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *message = g_strdup_vprintf(fmt, args);
    va_end(args);
    c->errors++;
    return moe_text_lines_fail(&c->lines, at, "%s", message);
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

/* Instead of experts: "none", chosen by this token at this layer, or "not-run", the layer. */
static bool
csv_no_experts(csv_import *c, const char **at, uint32_t *n_out)
{
    char word[24];
    csv_word(*at, word);
    if (strcmp(word, "none") != 0 && strcmp(word, "not-run") != 0)
        return false;
    *at += strlen(word);
    *n_out = word[2] == 'n' ? CSV_NONE : CSV_NOT_RUN;
    return true;
}

/* The experts of a row, appended to c->ids. */
static inline bool
csv_experts(csv_import *c, const char **at, uint32_t *n_out)
{
    const char *p = *at;
    uint32_t n = 0, stamp = (uint32_t)c->lines.line;
    uint16_t *ids = c->ids + c->n_ids;
    if (MOE_UNLIKELY(*p == 'n' && csv_no_experts(c, at, n_out)))
        return true;
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
    if (MOE_UNLIKELY(strncmp(p, "none", 4) == 0 && csv_ends_field(p + 4))) {
        *at = p + 4;
        *n_out = 0;
        return true;
    }
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

static inline bool
csv_fields_read(csv_import *c, csv_fields *f)
{
    const char *p = c->lines.text;
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
    return true;
}

bool
csv_row_read(csv_import *c)
{
    csv_fields f = {.phase = MOE_DECODE};
    if (MOE_UNLIKELY((uint32_t)c->lines.line == 0)) /* stamps would repeat */
        memset(c->stamps, 0, 65536 * sizeof *c->stamps);
    if (!csv_reserve(c) || !csv_fields_read(c, &f))
        return false;
    uint32_t n = f.n_experts > MOE_ROUTING_MAX_K ? 0 : f.n_experts;
    if (MOE_UNLIKELY(c->has_weights && f.n_weights != n))
        return csv_fail(c, NULL, "%u weights for %u experts", f.n_weights, n);
    if (MOE_UNLIKELY(!c->layers[f.layer]) && !csv_new_layer(c, f.layer))
        return false;
    c->lengths[f.n_experts]++;
    c->n_rows++;
    c->k = n > c->k ? n : c->k;
    return c->stream ? csv_stream_row(c, &f) : csv_gather_row(c, &f);
}
