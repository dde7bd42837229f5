#include "traces/import/response_record.h"

#include "sim/base/text.h"
#include "traces/import/base64.h"
#include "traces/import/npy_format.h"

#include <string.h>

#define RESPONSE_ERROR_MAX 200 /* bytes of a server's message that are shown */

/* Where a key's value stands, from the outside in. */
typedef struct response_frame {
    bool array;
    bool choices;   /* the array of choices */
    bool is_choice; /* an element of it */
} response_frame;

typedef struct response_walk {
    response_reader *reader;
    response_frame frames[MOE_JSON_DEPTH + 1];
    uint32_t depth; /* frames in use */
    bool in_choice;
} response_walk;

static void
response_rows_clear(response_rows *rows)
{
    g_free(rows->bytes);
    *rows = (response_rows){.start = -1};
}

static void
response_choice_clear(response_choice *choice)
{
    response_rows_clear(&choice->rows);
    g_free(choice->ids.ids);
    g_free(choice->prompt_ids.ids);
    *choice = (response_choice){.rows.start = -1};
}

void
response_clear(response_record *record)
{
    for (guint i = 0; record->choices && i < record->choices->len; i++)
        response_choice_clear(&g_array_index(record->choices, response_choice, i));
    if (record->choices)
        g_array_set_size(record->choices, 0);
    response_choice_clear(&record->own);
    response_rows_clear(&record->prompt);
    g_clear_pointer(&record->model, g_free);
    g_clear_pointer(&record->error, g_free);
    record->prompt_tokens = record->completion_tokens = record->start = -1;
}

static moe_place
response_place(const response_reader *r, const char *part)
{
    return (moe_place){
        .loc = {.file = r->file, .line = moe_json_line(r->stream)}, .part = part, .diag = r->diag};
}

static response_choice *
response_choice_of(response_walk *w)
{
    GArray *choices = w->reader->record.choices;
    if (!w->in_choice)
        return &w->reader->record.own;
    return &g_array_index(choices, response_choice, choices->len - 1);
}

/* ---- rows of routing ---- */

/* The array in decoded base64: npy, or raw int32. */
static bool
response_decoded(response_rows *rows, char *bytes, size_t n, const moe_place *place)
{
    rows->bytes = bytes;
    if (moe_npy_is(bytes, n)) {
        bool ok = moe_npy_parse(&rows->array, bytes, n, place);
        rows->array.name = "";
        return ok;
    }
    if (n % sizeof(int32_t))
        return moe_place_error(place,
                               "base64 of %zu bytes, neither an npy array nor int32 numbers (cut "
                               "short?)",
                               n);
    rows->raw = true;
    rows->array = (moe_array){.name = "",
                              .data = (const uint8_t *)bytes,
                              .type = MOE_ARRAY_I32,
                              .rank = 1,
                              .shape = {n / sizeof(int32_t)},
                              .stride = {sizeof(int32_t)}};
    return true;
}

static bool
response_base64(response_walk *w, response_rows *rows, const char *part)
{
    moe_place place = response_place(w->reader, part);
    size_t n, n_bytes;
    char *text = moe_json_steal(w->reader->stream, &n);
    const char *why = moe_base64_decode(text, n, &n_bytes);
    if (!why)
        return response_decoded(rows, text, n_bytes, &place);
    g_free(text);
    return moe_place_error(&place, "%s", why);
}

static bool
response_lists(response_walk *w, response_rows *rows, const char *part)
{
    moe_place place = response_place(w->reader, part);
    moe_json_numbers numbers;
    bool broken;
    const char *why = moe_json_numbers_read(w->reader->stream, &numbers, &broken);
    if (why)
        return broken ? false
                      : moe_place_error(&place, "%s; wants lists [tokens][layers][k] of ids", why);
    rows->bytes = numbers.values;
    rows->array = (moe_array){.name = "",
                              .data = (const uint8_t *)numbers.values,
                              .type = MOE_ARRAY_I32,
                              .rank = numbers.rank};
    memcpy(rows->array.shape, numbers.shape, sizeof numbers.shape);
    uint64_t bytes;
    return moe_array_pack(&rows->array, false, numbers.n * sizeof(int32_t), &bytes) ||
           moe_place_error(&place, "lists that are no array");
}

/* {"data": base64, "shape": [t, l, k], "dtype": "int16", "start": n} of proxies and trainers. */
typedef struct response_object {
    char *data;
    size_t n_data;
    char dtype[16];
    moe_json_numbers shape;
    bool has_shape;
} response_object;

static bool
response_object_value(response_walk *w, response_object *object, response_rows *rows,
                      const char *key, const moe_place *place)
{
    moe_json_stream *s = w->reader->stream;
    moe_json_event event = moe_json_next(s);
    const char *text = moe_json_text(s, NULL);
    bool broken = false;
    if (event == MOE_JSON_WRONG || event == MOE_JSON_END)
        return false;
    if (event == MOE_JSON_TEXT && strcmp(key, "data") == 0 && !object->data) {
        object->data = moe_json_steal(s, &object->n_data);
    } else if (event == MOE_JSON_TEXT && strcmp(key, "dtype") == 0) {
        g_strlcpy(object->dtype, text, sizeof object->dtype);
    } else if (event == MOE_JSON_TEXT && strcmp(key, "encoding") == 0) {
        if (strcmp(text, "base64") != 0)
            return moe_place_error(place, "encoding '%.40s'; wants base64", text);
    } else if (event == MOE_JSON_NUMBER && strcmp(key, "start") == 0) {
        return (moe_json_whole(s, &rows->start) && rows->start >= 0) ||
               moe_place_error(place, "start '%.40s'; wants a whole number from 0 on", text);
    } else if (event == MOE_JSON_ARRAY && strcmp(key, "shape") == 0 && !object->has_shape) {
        const char *why = moe_json_numbers_read(s, &object->shape, &broken);
        object->has_shape = !why;
        return !why || (!broken && moe_place_error(place, "shape: %s", why));
    } else if (event == MOE_JSON_ARRAY || event == MOE_JSON_OBJECT) {
        return moe_json_skip(s);
    }
    return true;
}

static bool
response_object_array(response_object *object, response_rows *rows, const moe_place *place)
{
    static const struct {
        const char *name;
        moe_array_type type;
    } types[] = {{"uint8", MOE_ARRAY_U8},   {"int8", MOE_ARRAY_I8},    {"uint16", MOE_ARRAY_U16},
                 {"int16", MOE_ARRAY_I16},  {"uint32", MOE_ARRAY_U32}, {"int32", MOE_ARRAY_I32},
                 {"uint64", MOE_ARRAY_U64}, {"int64", MOE_ARRAY_I64}};
    size_t type = 0, n;
    if (!object->data || !object->has_shape || !*object->dtype)
        return moe_place_error(place, "an object without data, shape and dtype");
    while (type < MOE_COUNT(types) && strcmp(types[type].name, object->dtype) != 0)
        type++;
    if (type == MOE_COUNT(types))
        return moe_place_error(place, "dtype '%s'; wants int8 to int64 or uint8 to uint64",
                               object->dtype);
    const char *why = moe_base64_decode(object->data, object->n_data, &n);
    if (why)
        return moe_place_error(place, "data: %s", why);
    rows->array = (moe_array){.name = "", .data = (const uint8_t *)object->data};
    rows->array.type = types[type].type;
    rows->bytes = g_steal_pointer(&object->data);
    if (object->shape.rank != 1 || object->shape.n > MOE_ARRAY_MAX_RANK)
        return moe_place_error(place, "shape wants the list [tokens, layers, k]");
    rows->array.rank = (uint32_t)object->shape.n;
    for (uint32_t i = 0; i < rows->array.rank; i++) {
        if (object->shape.values[i] < 0)
            return moe_place_error(place, "shape with a negative number");
        rows->array.shape[i] = (uint64_t)object->shape.values[i];
    }
    uint64_t bytes = 0;
    bool fits = moe_array_pack(&rows->array, false, n, &bytes);
    g_autofree char *text = moe_array_text(&rows->array);
    return (fits && bytes == n) ||
           moe_place_error(place, "%s does not take the %zu bytes that data has", text, n);
}

static bool
response_object_read(response_walk *w, response_rows *rows, const char *part)
{
    moe_place place = response_place(w->reader, part);
    response_object object = {0};
    moe_json_stream *s = w->reader->stream;
    moe_json_event event;
    bool ok = true;
    while (ok && (event = moe_json_next(s)) == MOE_JSON_KEY) {
        g_autofree char *key = g_strdup(moe_json_text(s, NULL));
        ok = response_object_value(w, &object, rows, key, &place);
    }
    ok = ok && event == MOE_JSON_CLOSE && response_object_array(&object, rows, &place);
    g_free(object.data);
    g_free(object.shape.values);
    return ok;
}

static bool
response_rows_read(response_walk *w, response_rows *rows, moe_json_event event, const char *key)
{
    g_autofree char *part =
        w->in_choice ? g_strdup_printf("choice %u, %s", w->reader->record.choices->len - 1, key)
                     : g_strdup(key);
    moe_place place = response_place(w->reader, part);
    if (event == MOE_JSON_WORD && strcmp(moe_json_text(w->reader->stream, NULL), "null") == 0)
        return true;
    if (rows->there)
        return moe_place_error(&place, "twice in one record");
    rows->there = true;
    rows->line = moe_json_line(w->reader->stream);
    if (event == MOE_JSON_TEXT)
        return response_base64(w, rows, part);
    if (event == MOE_JSON_ARRAY)
        return response_lists(w, rows, part);
    if (event == MOE_JSON_OBJECT)
        return response_object_read(w, rows, part);
    return moe_place_error(&place, "wants lists of ids or base64, found '%.40s'",
                           moe_json_text(w->reader->stream, NULL));
}

/* ---- lengths ---- */

static bool
response_ids_read(response_walk *w, response_ids *ids)
{
    moe_json_numbers numbers;
    bool broken;
    const char *why = moe_json_numbers_read(w->reader->stream, &numbers, &broken);
    if (why && broken)
        return false;
    if (why || numbers.rank != 1 || ids->there) {
        moe_place place = response_place(w->reader, NULL);
        g_free(numbers.values);
        return moe_place_error(&place, "token ids: %s",
                               why          ? why
                               : ids->there ? "twice in one record"
                                            : "wants one list");
    }
    *ids = (response_ids){numbers.values, numbers.n, true};
    return true;
}

static bool
response_count(response_walk *w, int64_t *out, const char *key)
{
    moe_json_stream *s = w->reader->stream;
    if (moe_json_whole(s, out) && *out >= 0 && *out < MOE_NONE)
        return true;
    moe_place place = response_place(w->reader, key);
    return moe_place_error(&place, "'%.40s'; wants a whole number from 0 on",
                           moe_json_text(s, NULL));
}

/* What the value of a key is taken for. */
typedef enum response_key {
    RESPONSE_ROWS,
    RESPONSE_PROMPT_ROWS,
    RESPONSE_PROMPT_IDS,
    RESPONSE_IDS,
    RESPONSE_PROMPT_TOKENS,
    RESPONSE_COMPLETION_TOKENS,
    RESPONSE_START,
    RESPONSE_MODEL,
    RESPONSE_CHOICES,
    RESPONSE_ERROR,
    RESPONSE_OTHER,
} response_key;

static response_key
response_key_of(const char *key)
{
    static const struct {
        const char *name;
        response_key key;
    } keys[] = {
        {"routed_experts", RESPONSE_ROWS},
        {"prompt_routed_experts", RESPONSE_PROMPT_ROWS},
        {"prompt_token_ids", RESPONSE_PROMPT_IDS},
        {"token_ids", RESPONSE_IDS},
        {"output_ids", RESPONSE_IDS},
        {"prompt_tokens", RESPONSE_PROMPT_TOKENS},
        {"completion_tokens", RESPONSE_COMPLETION_TOKENS},
        {"routed_experts_prompt_start", RESPONSE_START},
        {"routed_experts_start_len", RESPONSE_START},
        {"model", RESPONSE_MODEL},
        {"choices", RESPONSE_CHOICES},
        {"outputs", RESPONSE_CHOICES},
        {"message", RESPONSE_ERROR},
        {"detail", RESPONSE_ERROR},
    };
    for (size_t i = 0; i < MOE_COUNT(keys); i++)
        if (strcmp(keys[i].name, key) == 0)
            return keys[i].key;
    return RESPONSE_OTHER;
}

/* What stands in the body of an error. */
static char *
response_error(response_walk *w)
{
    size_t n;
    const char *text = moe_json_text(w->reader->stream, &n);
    bool cut = n > RESPONSE_ERROR_MAX;
    g_autofree char *seen = moe_text_visible(text, cut ? RESPONSE_ERROR_MAX : n);
    return g_strconcat(seen, cut ? "…" : "", NULL);
}

/* Takes a value that is of interest; *taken tells whether it was. */
static bool
response_take(response_walk *w, response_key key, moe_json_event event, const char *name,
              bool *taken)
{
    response_record *record = &w->reader->record;
    response_choice *choice = response_choice_of(w);
    bool array = event == MOE_JSON_ARRAY, number = event == MOE_JSON_NUMBER;
    *taken = true;
    if (key == RESPONSE_ROWS)
        return response_rows_read(w, &choice->rows, event, name);
    if (key == RESPONSE_PROMPT_ROWS)
        return response_rows_read(w, &record->prompt, event, name);
    if (key == RESPONSE_PROMPT_IDS && array)
        return response_ids_read(w, &choice->prompt_ids);
    if (key == RESPONSE_IDS && array)
        return response_ids_read(w, &choice->ids);
    if (key == RESPONSE_PROMPT_TOKENS && number)
        return response_count(w, &record->prompt_tokens, name);
    if (key == RESPONSE_COMPLETION_TOKENS && number)
        return response_count(w, &record->completion_tokens, name);
    if (key == RESPONSE_START && number)
        return response_count(w, w->in_choice ? &choice->rows.start : &record->start, name);
    if (key == RESPONSE_MODEL && event == MOE_JSON_TEXT && !record->model)
        record->model = g_strdup(moe_json_text(w->reader->stream, NULL));
    if (key == RESPONSE_ERROR && event == MOE_JSON_TEXT && !w->in_choice && !record->error)
        record->error = response_error(w);
    *taken = false;
    return true;
}

/* ---- the record ---- */

static bool
response_open(response_walk *w, moe_json_event event, response_key key)
{
    response_frame *parent = &w->frames[w->depth - 1];
    response_frame *frame = &w->frames[w->depth++];
    *frame = (response_frame){.array = event == MOE_JSON_ARRAY};
    frame->choices = frame->array && key == RESPONSE_CHOICES && !w->in_choice;
    frame->is_choice = !frame->array && parent->choices;
    if (frame->is_choice) {
        response_choice choice = {.rows.start = -1};
        g_array_append_val(w->reader->record.choices, choice);
        w->in_choice = true;
    }
    return true;
}

/* Behind '{' of a record to its '}'. */
static bool
response_record_read(response_walk *w)
{
    moe_json_stream *s = w->reader->stream;
    w->depth = 1;
    w->frames[0] = (response_frame){0};
    while (w->depth) {
        moe_json_event event = moe_json_next(s);
        response_key key = RESPONSE_OTHER;
        char name[40] = "";
        if (event == MOE_JSON_KEY) {
            g_strlcpy(name, moe_json_text(s, NULL), sizeof name);
            key = response_key_of(name);
            event = moe_json_next(s);
        }
        if (event == MOE_JSON_WRONG || event == MOE_JSON_END)
            return false;
        if (event == MOE_JSON_CLOSE) {
            w->in_choice &= !w->frames[--w->depth].is_choice;
            continue;
        }
        bool taken = false;
        if (key != RESPONSE_OTHER && !response_take(w, key, event, name, &taken))
            return false;
        if (!taken && (event == MOE_JSON_OBJECT || event == MOE_JSON_ARRAY))
            response_open(w, event, key);
    }
    return true;
}

int
response_next(response_reader *r)
{
    response_walk w = {.reader = r};
    if (!r->record.choices)
        r->record.choices = g_array_new(FALSE, TRUE, sizeof(response_choice));
    response_clear(&r->record);
    for (;;) {
        moe_json_event event = moe_json_next(r->stream);
        if (event == MOE_JSON_END)
            return 0;
        if (event == MOE_JSON_WRONG)
            return -1;
        if (event == MOE_JSON_ARRAY || event == MOE_JSON_CLOSE)
            continue; /* records in an array, or in nested ones */
        if (event == MOE_JSON_OBJECT)
            break;
        moe_place place = response_place(r, NULL);
        moe_place_error(&place, "wants JSON objects, one per answer");
        return -1;
    }
    r->record.line = moe_json_line(r->stream);
    return response_record_read(&w) ? 1 : -1;
}
