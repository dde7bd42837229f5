/* One line of JSON: the keys, under the names that they have in the wild, and their values. */
#include "traces/import/jsonl.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

bool
jsonl_fail(jsonl_reader *r, size_t input, uint64_t line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *message = g_strdup_vprintf(fmt, args);
    va_end(args);
    moe_loc loc = {.file = moe_diag_intern(r->job->diag, r->job->paths[input]),
                   .line = (int)MIN(line, (uint64_t)G_MAXINT)};
    moe_diag_error(r->job->diag, loc, "%s", message);
    r->errors++;
    return false;
}

/* ---- values ---- */

/* A number, or a text as it is. */
static bool
record_label(moe_scan *scan, uint64_t *number, const char **text)
{
    if (moe_scan_peek(scan) == '"') {
        *text = moe_scan_text(scan);
        return *text != NULL;
    }
    *text = NULL;
    return moe_scan_whole(scan, number);
}

static bool
record_phase(moe_scan *scan, moe_phase *out)
{
    uint64_t number = 0;
    const char *text;
    if (!record_label(scan, &number, &text))
        return false;
    if (text ? strcmp(text, "prefill") == 0 : number == 0)
        *out = MOE_PREFILL;
    else if (text ? strcmp(text, "decode") == 0 : number == 1)
        *out = MOE_DECODE;
    else
        return moe_scan_fail(scan, "wants 0 or \"prefill\", 1 or \"decode\"");
    return true;
}

/* "[3, 1]" of ids to the reader's lists; -1 and -2 pass, for who judges rows. */
static bool
record_ids(jsonl_reader *r)
{
    moe_scan *scan = &r->scan;
    uint32_t n = 0;
    if (!moe_scan_take(scan, '['))
        return false;
    for (bool more = !moe_scan_maybe(scan, ']'); more; n++) {
        uint64_t value;
        bool negative = moe_scan_maybe(scan, '-');
        if (n == MOE_ROUTING_MAX_K)
            return moe_scan_fail(scan, "more experts than can be read (256)");
        if (!moe_scan_whole(scan, &value))
            return false;
        if (value > INT32_MAX)
            return moe_scan_fail(scan, "expert too large");
        int32_t id = negative ? -(int32_t)value : (int32_t)value;
        g_array_append_val(r->ids, id);
        more = moe_scan_maybe(scan, ',');
        if (!more && !moe_scan_take(scan, ']'))
            return false;
    }
    g_array_append_val(r->lengths, n);
    return true;
}

/* Python writes NaN where JSON has no word for it; the row is refused for it later, by its place.
 */
static bool
record_weight(moe_scan *scan, float *out)
{
    double value;
    if (moe_scan_peek(scan) == 'N' && scan->end - scan->at >= 3 &&
        memcmp(scan->at, "NaN", 3) == 0) {
        scan->at += 3;
        *out = NAN;
        return true;
    }
    bool ok = moe_scan_real(scan, &value);
    *out = ok ? (float)value : 0;
    return ok;
}

static bool
record_weights(jsonl_reader *r)
{
    moe_scan *scan = &r->scan;
    uint32_t n = 0;
    if (!moe_scan_take(scan, '['))
        return false;
    for (bool more = !moe_scan_maybe(scan, ']'); more; n++) {
        float weight;
        if (!record_weight(scan, &weight))
            return false;
        g_array_append_val(r->weights, weight);
        more = moe_scan_maybe(scan, ',');
        if (!more && !moe_scan_take(scan, ']'))
            return false;
    }
    g_array_append_val(r->n_weights, n);
    return true;
}

/* A list, or a list of lists; *many: which. */
static bool
record_lists(jsonl_reader *r, bool (*one)(jsonl_reader *r), bool *many)
{
    moe_scan *scan = &r->scan;
    *many = false;
    if (moe_scan_peek(scan) != '[')
        return moe_scan_take(scan, '[');
    const char *first = scan->at++;
    *many = moe_scan_peek(scan) == '[';
    if (!*many) {
        scan->at = first;
        return one(r);
    }
    do {
        if (!one(r))
            return false;
    } while (moe_scan_maybe(scan, ','));
    return moe_scan_take(scan, ']');
}

static bool
record_rows(jsonl_reader *r)
{
    moe_scan *scan = &r->scan;
    if (!moe_scan_take(scan, '['))
        return false;
    for (bool more = !moe_scan_maybe(scan, ']'); more;) {
        uint64_t row;
        if (!moe_scan_whole(scan, &row))
            return false;
        g_array_append_val(r->rows, row);
        more = moe_scan_maybe(scan, ',');
        if (!more && !moe_scan_take(scan, ']'))
            return false;
    }
    return true;
}

static bool
record_ids_value(jsonl_reader *r, jsonl_record *record)
{
    moe_scan *scan = &r->scan;
    if (moe_scan_peek(scan) != 'n')
        return record_lists(r, record_ids, &record->many);
    uint32_t not_run = JSONL_NOT_RUN; /* null */
    g_array_append_val(r->lengths, not_run);
    return moe_scan_skip(scan);
}

static bool
record_value(jsonl_reader *r, jsonl_record *record, jsonl_field field)
{
    moe_scan *scan = &r->scan;
    bool many;
    switch (field) {
    case JSONL_TYPE:
        record->type = moe_scan_text(scan);
        return record->type != NULL;
    case JSONL_SEQUENCE:
    case JSONL_PROBLEM:
        return record_label(scan, &record->sequence, &record->sequence_text);
    case JSONL_POSITION:
        return moe_scan_whole(scan, &record->position);
    case JSONL_LAYER:
        return moe_scan_whole(scan, &record->layer);
    case JSONL_IDS:
        return record_ids_value(r, record);
    case JSONL_WEIGHTS:
        return moe_scan_peek(scan) == 'n' ? moe_scan_skip(scan)
                                          : record_lists(r, record_weights, &many);
    case JSONL_PHASE:
        return record_phase(scan, &record->phase);
    case JSONL_STEP:
        return moe_scan_whole(scan, &record->step);
    case JSONL_BATCH:
        return moe_scan_whole(scan, &record->batch);
    case JSONL_ROWS:
        return record_rows(r);
    case JSONL_DOMAIN:
        record->domain = moe_scan_text(scan);
        return record->domain != NULL;
    case JSONL_TOKEN_ID:
        return moe_scan_whole(scan, &record->token_id);
    case JSONL_IGNORED:
        break;
    }
    return moe_scan_skip(scan);
}

/* ---- lines ---- */

/* A key that was not expected at its place; remembered for the next record. */
static bool
record_new_key(jsonl_reader *r, bool other, jsonl_key *key, jsonl_field *field)
{
    moe_scan *scan = &r->scan;
    const char *first = (moe_scan_peek(scan), scan->at), *name = moe_scan_text(scan);
    if (!name)
        return false;
    size_t n = strlen(name), quoted = (size_t)(scan->at - first);
    *field = jsonl_field_of(name, n);
    if (*field == JSONL_IGNORED && !other && !g_hash_table_contains(r->ignored, name) &&
        g_hash_table_size(r->ignored) < 100)
        g_hash_table_add(r->ignored, g_strdup(name));
    if (key && quoted == n + 2 && quoted <= sizeof key->quoted) {
        memcpy(key->quoted, first, quoted);
        key->n = (uint8_t)quoted;
        key->field = (uint8_t)*field;
    }
    return true;
}

/* The i-th key of a record and its value. */
static bool
record_key(jsonl_reader *r, jsonl_record *record, uint32_t i)
{
    moe_scan *scan = &r->scan;
    jsonl_key *key = i < JSONL_KEYS ? &r->keys[i] : NULL;
    jsonl_field field;
    moe_scan_peek(scan);
    if (key && key->n && (size_t)(scan->end - scan->at) > key->n &&
        memcmp(scan->at, key->quoted, key->n) == 0) {
        scan->at += key->n;
        field = key->field;
    } else if (!record_new_key(r, record->other, key, &field)) {
        return false;
    }
    if (!moe_scan_take(scan, ':'))
        return false;
    if (record->other) /* its keys may mean something else */
        return moe_scan_skip(scan);
    if (field != JSONL_IGNORED && record->seen & 1u << field)
        return moe_scan_fail(scan, "a key that says what one before has said");
    record->seen |= 1u << field;
    if (!record_value(r, record, field))
        return false;
    record->other |= field == JSONL_TYPE && strcmp(record->type, "route") != 0;
    return true;
}

static bool
record_object(jsonl_reader *r, jsonl_record *record)
{
    moe_scan *scan = &r->scan;
    if (!moe_scan_take(scan, '{'))
        return false;
    if (moe_scan_maybe(scan, '}'))
        return moe_scan_end(scan);
    uint32_t i = 0;
    do {
        if (!record_key(r, record, i++))
            return false;
    } while (moe_scan_maybe(scan, ','));
    return moe_scan_take(scan, '}') && moe_scan_end(scan);
}

/* Texts of "metadata": kept, what else is there skipped. */
static bool
record_metadata(jsonl_reader *r)
{
    moe_scan *scan = &r->scan;
    if (!moe_scan_take(scan, '{'))
        return false;
    if (moe_scan_maybe(scan, '}'))
        return true;
    if (!r->meta)
        r->meta = g_ptr_array_new_with_free_func(g_free);
    do {
        const char *text = moe_scan_text(scan);
        g_autofree char *key = g_strdup(text);
        if (!key || !moe_scan_take(scan, ':'))
            return false;
        if (moe_scan_peek(scan) != '"') {
            if (!moe_scan_skip(scan))
                return false;
            continue;
        }
        text = moe_scan_text(scan);
        if (!text)
            return false;
        g_ptr_array_add(r->meta, g_steal_pointer(&key));
        g_ptr_array_add(r->meta, g_strdup(text));
    } while (moe_scan_maybe(scan, ','));
    return moe_scan_take(scan, '}');
}

/* Of our own first record: what the others do not say. Other writers' have other keys. */
static bool
record_meta(jsonl_reader *r)
{
    moe_scan *scan = &r->scan;
    uint64_t n;
    if (!moe_scan_take(scan, '{'))
        return false;
    do {
        const char *name = moe_scan_text(scan);
        if (!name || !moe_scan_take(scan, ':'))
            return false;
        char c = moe_scan_peek(scan);
        bool number = c >= '0' && c <= '9', experts = strcmp(name, "n_experts") == 0;
        if (number && (experts || strcmp(name, "top_k") == 0)) {
            if (!moe_scan_whole(scan, &n))
                return false;
            if (experts)
                r->n_experts = n >= 1 && n <= MOE_ROUTING_MAX_EXPERTS ? (uint32_t)n : 0;
            else
                r->top_k = n >= 1 && n <= MOE_ROUTING_MAX_K ? (uint32_t)n : 0;
        } else if (strcmp(name, "model") == 0 && c == '"') {
            g_free(r->model);
            r->model = g_strdup(moe_scan_text(scan));
        } else if (strcmp(name, "metadata") == 0 && c == '{') {
            if (!record_metadata(r))
                return false;
        } else if (!moe_scan_skip(scan)) {
            return false;
        }
    } while (moe_scan_maybe(scan, ','));
    return moe_scan_take(scan, '}');
}

static void
record_begin(jsonl_reader *r)
{
    g_string_set_size(r->store, r->lines.length + 1);
    r->scan = (moe_scan){.begin = r->lines.text,
                         .at = r->lines.text,
                         .end = r->lines.text + r->lines.length,
                         .store = r->store->str};
}

/* Whether what must be there is there. */
static bool
record_whole(jsonl_reader *r, jsonl_record *record)
{
    static const struct {
        jsonl_field field;
        const char *names;
    } wanted[] = {{JSONL_LAYER, "layer"}, {JSONL_IDS, "topk_ids"}};
    for (size_t i = 0; i < MOE_COUNT(wanted); i++)
        if (!(record->seen & 1u << wanted[i].field))
            return moe_text_lines_fail(&r->lines, NULL, "a record without '%s'%s", wanted[i].names,
                                       record->seen & 1u << JSONL_WEIGHTS &&
                                               wanted[i].field == JSONL_IDS
                                           ? "; weights say nothing without the experts they are of"
                                           : "");
    if (!(record->seen & (1u << JSONL_POSITION | 1u << JSONL_ROWS)))
        return moe_text_lines_fail(&r->lines, NULL, "a record without 'token_idx'");
    if (record->layer > JSONL_MAX_LAYER)
        return moe_text_lines_fail(&r->lines, NULL, "layer %" G_GUINT64_FORMAT " is too large",
                                   record->layer);
    record->n_rows = r->lengths->len;
    if (record->many != (r->rows->len > 0 || (record->seen & 1u << JSONL_ROWS)))
        return moe_text_lines_fail(&r->lines, NULL,
                                   "lists of experts and 'origin_rows' belong "
                                   "together");
    if (record->many && r->rows->len != record->n_rows)
        return moe_text_lines_fail(&r->lines, NULL, "%u rows of experts for %u 'origin_rows'",
                                   record->n_rows, r->rows->len);
    if (!record->many)
        g_array_append_val(r->rows, record->position);
    if (r->n_weights->len == 0)
        return true;
    if (r->n_weights->len != record->n_rows)
        return moe_text_lines_fail(&r->lines, NULL, "%u rows of weights for %u rows of experts",
                                   r->n_weights->len, record->n_rows);
    for (uint32_t i = 0; i < record->n_rows; i++) {
        uint32_t n = g_array_index(r->lengths, uint32_t, i);
        uint32_t n_weights = g_array_index(r->n_weights, uint32_t, i);
        n = n == JSONL_NOT_RUN ? 0 : n;
        if (n != n_weights)
            return moe_text_lines_fail(&r->lines, NULL, "%u weights for %u experts", n_weights, n);
    }
    return true;
}

bool
jsonl_record_read(jsonl_reader *r, jsonl_record *record, bool *skip)
{
    *record = (jsonl_record){.phase = MOE_DECODE};
    g_array_set_size(r->ids, 0);
    g_array_set_size(r->lengths, 0);
    g_array_set_size(r->weights, 0);
    g_array_set_size(r->n_weights, 0);
    g_array_set_size(r->rows, 0);
    record_begin(r);
    bool ok = record_object(r, record);
    *skip = ok && record->other;
    if (*skip && strcmp(record->type, "meta") == 0) {
        record_begin(r);
        record_meta(r);
    }
    r->n_skipped += *skip;
    if (*skip)
        return true;
    if (!ok)
        moe_text_lines_fail(&r->lines, r->scan.at, "%s", r->scan.why);
    ok = ok && record_whole(r, record);
    r->errors += !ok;
    r->n_records += ok;
    return ok;
}
