#include "traces/decisions.h"
#include "traces/text_lines.h"

#include <string.h>

#define LONGEST_LINE (64u << 20)
#define MOST_OBJECTS (1u << 28)
#define MOST_SETTINGS 64u

typedef struct setting {
    char *key, *value;
    uint64_t line;
} setting;

struct moe_decisions {
    moe_text_lines lines;
    uint32_t n_layers, n_experts;
    GArray *settings; /* of setting */
    GArray *objects;  /* of uint32_t: of the line at hand */
    GByteArray *outcomes;
    bool pending, over; /* pending: the line at hand was not given out yet */
    const char *at;     /* where the next word of the line begins */
};

/* The next word of the line; false at its end. */
static bool
next_word(moe_decisions *log, const char **word, size_t *length)
{
    const char *end = log->lines.text + log->lines.length, *at = log->at;
    while (at < end && *at == ' ')
        at++;
    *word = at;
    while (at < end && *at != ' ')
        at++;
    *length = (size_t)(at - *word);
    log->at = at;
    return *length > 0;
}

static bool
is(const char *word, size_t length, const char *text)
{
    return strlen(text) == length && memcmp(word, text, length) == 0;
}

/* A number at the front of word[0..length), below `limit`; returns its digits, 0: none. */
static size_t
digits(const char *word, size_t length, uint64_t limit, uint64_t *value)
{
    size_t n = 0;
    for (*value = 0; n < length && g_ascii_isdigit(word[n]); n++) {
        uint64_t digit = (uint64_t)(word[n] - '0');
        if (*value > (UINT64_MAX - digit) / 10 || *value * 10 + digit >= limit)
            return 0;
        *value = *value * 10 + digit;
    }
    return n;
}

static bool
read_number(moe_decisions *log, const char *what, uint64_t limit, uint64_t *value)
{
    const char *word;
    size_t length;
    if (next_word(log, &word, &length) && digits(word, length, limit, value) == length)
        return true;
    return moe_text_lines_fail(&log->lines, word, "wants %s, below %llu", what,
                               (unsigned long long)limit);
}

static bool
read_u32(moe_decisions *log, const char *what, uint64_t limit, uint32_t *value)
{
    uint64_t number = 0;
    bool read = read_number(log, what, limit, &number);
    *value = (uint32_t)number;
    return read;
}

static bool
as_object(const moe_decisions *log, const char *word, size_t length, uint32_t *object)
{
    uint64_t layer, expert;
    size_t n = digits(word, length, log->n_layers, &layer);
    if (n == 0 || n >= length || word[n] != '.' ||
        digits(word + n + 1, length - n - 1, log->n_experts, &expert) != length - n - 1 ||
        length == n + 1)
        return moe_text_lines_fail(&log->lines, word,
                                   "wants an object, LAYER.EXPERT, of %u layers of %u experts",
                                   log->n_layers, log->n_experts);
    *object = (uint32_t)(layer * log->n_experts + expert);
    return true;
}

static bool
read_object(moe_decisions *log, uint32_t *object)
{
    const char *word;
    size_t length;
    next_word(log, &word, &length);
    return as_object(log, word, length, object);
}

static bool
read_victim(moe_decisions *log, uint32_t *victim)
{
    const char *word;
    size_t length;
    *victim = MOE_NONE;
    next_word(log, &word, &length);
    return is(word, length, "-") || as_object(log, word, length, victim);
}

static bool
read_gate(moe_decisions *log, moe_decision *decision)
{
    static const char *const outcomes[] = {"hit", "late", "miss"};
    if (!read_u32(log, "a step", MOE_NONE, &decision->step) ||
        !read_u32(log, "a layer", log->n_layers, &decision->layer) ||
        !read_u32(log, "how many tokens", MOE_NONE, &decision->tokens))
        return false;
    const char *word;
    size_t length;
    while (next_word(log, &word, &length)) {
        uint64_t expert;
        uint8_t outcome = 0;
        size_t n = digits(word, length, log->n_experts, &expert);
        while (outcome < 3 && !(n > 0 && n < length && word[n] == '=' &&
                                is(word + n + 1, length - n - 1, outcomes[outcome])))
            outcome++;
        if (outcome == 3)
            return moe_text_lines_fail(&log->lines, word,
                                       "wants EXPERT=hit, =late or =miss, of %u experts",
                                       log->n_experts);
        uint32_t object = (uint32_t)(decision->layer * log->n_experts + expert);
        g_array_append_val(log->objects, object);
        g_byte_array_append(log->outcomes, &outcome, 1);
    }
    return true;
}

static bool
read_want(moe_decisions *log, moe_decision *decision)
{
    uint64_t window = 0, load = 0;
    if (!read_number(log, "picoseconds", INT64_MAX, &window) ||
        !read_number(log, "picoseconds", INT64_MAX, &load))
        return false;
    decision->window_ps = (int64_t)window;
    decision->load_ps = (int64_t)load;
    const char *word;
    size_t length;
    while (next_word(log, &word, &length)) {
        uint32_t object;
        if (!as_object(log, word, length, &object))
            return false;
        g_array_append_val(log->objects, object);
    }
    return true;
}

static bool
read_counts(moe_decisions *log, moe_decision *decision)
{
    if (!read_u32(log, "a layer", log->n_layers, &decision->layer))
        return false;
    for (size_t i = 0; i < MOE_DECISION_COUNTS; i++)
        if (!read_number(log, "a count", UINT64_MAX, &decision->counts[i]))
            return false;
    return true;
}

static bool
read_rest(moe_decisions *log, moe_decision *decision)
{
    switch (decision->kind) {
    case MOE_DECISION_GATE:
        return read_gate(log, decision);
    case MOE_DECISION_WANT:
        return read_want(log, decision);
    case MOE_DECISION_LOAD:
    case MOE_DECISION_PREFETCH:
        return read_object(log, &decision->object) && read_victim(log, &decision->victim);
    case MOE_DECISION_COUNT:
        return read_counts(log, decision);
    case MOE_DECISION_END:
        return true;
    default:
        return read_object(log, &decision->object);
    }
}

static bool
read_decision(moe_decisions *log, moe_decision *decision)
{
    static const char *const names[] = {"gate", "want", "load", "full", "prefetch", "refuse",
                                        "here", "done", "off",  "end",  "count"};
    const char *word;
    size_t length, kind = 0;
    log->at = log->lines.text;
    g_array_set_size(log->objects, 0);
    g_byte_array_set_size(log->outcomes, 0);
    *decision = (moe_decision){.object = MOE_NONE, .victim = MOE_NONE};
    next_word(log, &word, &length);
    while (kind < MOE_COUNT(names) && !is(word, length, names[kind]))
        kind++;
    if (kind == MOE_COUNT(names))
        return moe_text_lines_fail(&log->lines, word,
                                   "wants a decision: gate, want, load, full, prefetch, refuse, "
                                   "here, done, off, end or count");
    decision->kind = (moe_decision_kind)kind;
    if (!read_rest(log, decision))
        return false;
    if (next_word(log, &word, &length))
        return moe_text_lines_fail(&log->lines, word, "the line should end here");
    decision->n = log->objects->len;
    decision->objects = (const uint32_t *)(void *)log->objects->data;
    decision->outcomes = log->outcomes->data;
    return true;
}

static bool
read_setting(moe_decisions *log)
{
    const char *key, *end = log->lines.text + log->lines.length;
    size_t length;
    if (!next_word(log, &key, &length))
        return moe_text_lines_fail(&log->lines, log->at, "wants a key and its value");
    if (log->settings->len == MOST_SETTINGS)
        return moe_text_lines_fail(&log->lines, NULL, "more than %u settings", MOST_SETTINGS);
    const char *value = log->at < end ? log->at + 1 : end;
    setting s = {g_strndup(key, length), g_strndup(value, (size_t)(end - value)), log->lines.line};
    g_array_append_val(log->settings, s);
    return true;
}

static bool
read_first(moe_decisions *log, GError **error)
{
    const char *word;
    size_t length;
    moe_text_step step = moe_text_lines_next(&log->lines, error);
    if (step == MOE_TEXT_FAILED)
        return false;
    log->at = log->lines.text;
    if (step == MOE_TEXT_END || !is(log->lines.text, log->lines.length, "moesim-decisions 1")) {
        moe_diag_error(log->lines.diag, (moe_loc){.file = log->lines.file},
                       "is no decision log: its first line is not 'moesim-decisions 1'");
        return false;
    }
    step = moe_text_lines_next(&log->lines, error);
    if (step == MOE_TEXT_FAILED)
        return false;
    log->at = log->lines.text;
    if (step == MOE_TEXT_END || !next_word(log, &word, &length) || !is(word, length, "shape")) {
        moe_diag_error(log->lines.diag, (moe_loc){.file = log->lines.file, .line = 2},
                       "wants 'shape LAYERS EXPERTS'");
        return false;
    }
    if (!read_u32(log, "a number of layers", 4097, &log->n_layers) ||
        !read_u32(log, "a number of experts", 65535, &log->n_experts))
        return false;
    if (log->n_layers > 0 && log->n_experts > 0 &&
        (uint64_t)log->n_layers * log->n_experts <= MOST_OBJECTS)
        return true;
    return moe_text_lines_fail(&log->lines, NULL, "a shape of %u layers of %u experts",
                               log->n_layers, log->n_experts);
}

static bool
read_head(moe_decisions *log, GError **error)
{
    if (!read_first(log, error))
        return false;
    for (;;) {
        moe_text_step step = moe_text_lines_next(&log->lines, error);
        const char *word;
        size_t length;
        if (step == MOE_TEXT_FAILED)
            return false;
        log->over = step == MOE_TEXT_END;
        log->pending = !log->over;
        if (log->over)
            return true;
        log->at = log->lines.text;
        next_word(log, &word, &length);
        if (!is(word, length, "set"))
            return true;
        if (!read_setting(log))
            return false;
    }
}

static moe_decisions *
open_source(moe_text_source *source, const char *name, moe_diag *diag, GError **error)
{
    moe_decisions *log = g_new0(moe_decisions, 1);
    moe_text_lines_init(&log->lines, source, name, LONGEST_LINE, diag);
    log->settings = g_array_new(FALSE, FALSE, sizeof(setting));
    log->objects = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    log->outcomes = g_byte_array_new();
    if (read_head(log, error))
        return log;
    moe_decisions_close(log);
    return NULL;
}

moe_decisions *
moe_decisions_open(const char *path, moe_diag *diag, GError **error)
{
    moe_text_source *source = moe_text_source_open(path, error);
    return source ? open_source(source, path, diag, error) : NULL;
}

moe_decisions *
moe_decisions_open_memory(const char *name, const void *bytes, size_t n_bytes, moe_diag *diag)
{
    return open_source(moe_text_source_memory(name, bytes, n_bytes), name, diag, NULL);
}

void
moe_decisions_close(moe_decisions *log)
{
    if (!log)
        return;
    for (guint i = 0; i < log->settings->len; i++) {
        g_free(g_array_index(log->settings, setting, i).key);
        g_free(g_array_index(log->settings, setting, i).value);
    }
    g_array_free(log->settings, TRUE);
    g_array_free(log->objects, TRUE);
    g_byte_array_free(log->outcomes, TRUE);
    moe_text_lines_clear(&log->lines);
    g_free(log);
}

uint32_t
moe_decisions_layers(const moe_decisions *log)
{
    return log->n_layers;
}

uint32_t
moe_decisions_experts(const moe_decisions *log)
{
    return log->n_experts;
}

bool
moe_decisions_setting(const moe_decisions *log, size_t i, const char **key, const char **value,
                      moe_loc *at)
{
    if (i >= log->settings->len)
        return false;
    const setting *s = &g_array_index(log->settings, setting, i);
    *key = s->key;
    *value = s->value;
    *at = (moe_loc){.file = log->lines.file, .line = (int)s->line};
    return true;
}

moe_decisions_step
moe_decisions_next(moe_decisions *log, moe_decision *decision, GError **error)
{
    if (!log->pending && !log->over) {
        moe_text_step step = moe_text_lines_next(&log->lines, error);
        if (step == MOE_TEXT_FAILED)
            return MOE_DECISIONS_FAILED;
        log->over = step == MOE_TEXT_END;
    }
    log->pending = false;
    if (log->over)
        return MOE_DECISIONS_OVER;
    return read_decision(log, decision) ? MOE_DECISIONS_NEXT : MOE_DECISIONS_FAILED;
}

moe_loc
moe_decisions_at(const moe_decisions *log)
{
    return (moe_loc){.file = log->lines.file, .line = (int)log->lines.line};
}
