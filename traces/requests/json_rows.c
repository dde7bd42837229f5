#include "traces/requests/json_rows.h"

#include "traces/index_map.h"
#include "traces/json_scan.h"
#include "traces/requests/names.h"

#include <string.h>

#define JSON_MAX_LINE (64u << 20) /* prompts of a million token ids */
#define JSON_BLOCK 16 /* tokens in a block made from ids, unless the user says another number */

typedef struct json_rows {
    const request_json *json;
    uint32_t block_tokens;
    moe_scan scan;
    char *store; /* decoded texts of the line at hand */
    size_t max_store;
    uint32_t *tokens; /* of the prompt at hand */
    size_t n_tokens, max_tokens;
    moe_names prefixes; /* (block before, tokens or name of the block) -> block */

    uint64_t chat, parent, root; /* of the request at hand */
    bool has_parent;
    moe_index_map chats; /* number of a chat -> index */
    GArray *roots;       /* of uint64_t: the first chat of the session of each */
} json_rows;

/* ---- values ---- */

/* "[1, 2, 3]"; each number goes to `take`. */
typedef bool json_take(json_rows *j, request_rows *rows, uint64_t number);

static bool
json_numbers(json_rows *j, request_rows *rows, json_take *take)
{
    moe_scan *scan = &j->scan;
    if (!moe_scan_take(scan, '['))
        return false;
    if (moe_scan_maybe(scan, ']'))
        return true;
    do {
        uint64_t number;
        if (!moe_scan_whole(scan, &number) || !take(j, rows, number))
            return false;
    } while (moe_scan_maybe(scan, ','));
    return moe_scan_take(scan, ']');
}

static bool
json_block(json_rows *j, request_rows *rows, uint64_t number)
{
    return request_block(rows, number);
}

static bool
json_token(json_rows *j, request_rows *rows, uint64_t number)
{
    if (j->n_tokens == j->max_tokens) {
        j->max_tokens = j->max_tokens * 2 + 1024;
        j->tokens = g_realloc_n(j->tokens, j->max_tokens, sizeof *j->tokens);
    }
    if (number > UINT32_MAX)
        return moe_scan_fail(&j->scan, "a token's number is above 2^32 - 1");
    j->tokens[j->n_tokens++] = (uint32_t)number;
    return true;
}

/* A text or a whole number. */
static bool
json_session(moe_scan *scan, moe_request_name *session)
{
    const char *text = scan->at;
    uint64_t number;
    if (text < scan->end && *text == '"') {
        text = moe_scan_text(scan);
        *session = (moe_request_name){text, text ? strlen(text) : 0};
        return text != NULL;
    }
    bool ok = moe_scan_whole(scan, &number);
    *session = (moe_request_name){text, (size_t)(scan->at - text)};
    return ok;
}

/* "55", or "-1" for none. */
static bool
json_parent(json_rows *j)
{
    moe_scan *scan = &j->scan;
    j->has_parent = !(scan->at < scan->end && *scan->at == '-');
    scan->at += !j->has_parent;
    if (!moe_scan_whole(scan, &j->parent))
        return false;
    return j->has_parent || j->parent == 1 ||
           moe_scan_fail(scan, "wants the number of a chat, or -1 for none");
}

/* The value of a known key. What request_read_* refuse has had its message. */
static bool
json_value(json_rows *j, request_rows *rows, const request_key *key, moe_request *request)
{
    moe_scan *scan = &j->scan;
    moe_scan_peek(scan);
    switch (key->role) {
    case REQUEST_TIME:
        return request_read_time(rows, key, scan->at, &scan->at, &request->time_ns);
    case REQUEST_PROMPT:
        return request_read_tokens(rows, key->name, scan->at, &scan->at, &request->prompt);
    case REQUEST_OUTPUT:
        return request_read_tokens(rows, key->name, scan->at, &scan->at, &request->output);
    case REQUEST_SESSION:
        return json_session(scan, &request->session);
    case REQUEST_BLOCKS:
        return json_numbers(j, rows, json_block);
    case REQUEST_TOKENS:
        return json_numbers(j, rows, json_token);
    case REQUEST_CHAT:
        return moe_scan_whole(scan, &j->chat);
    case REQUEST_PARENT:
        return json_parent(j);
    default:
        return request_fail(rows, scan->at, "'%s': %s", key->name, key->why);
    }
}

/* ---- objects ---- */

static const request_key *
json_key(const request_json *json, const char *name)
{
    for (size_t i = 0; i < json->n_keys; i++)
        if (strcmp(json->keys[i].name, name) == 0)
            return &json->keys[i];
    return NULL;
}

/* The members of the object; `seen` gets a bit for each role. */
static bool
json_members(json_rows *j, request_rows *rows, moe_request *request, unsigned *seen)
{
    moe_scan *scan = &j->scan;
    if (!moe_scan_take(scan, '{'))
        return false;
    if (moe_scan_maybe(scan, '}'))
        return moe_scan_end(scan);
    do {
        moe_scan_peek(scan);
        const char *place = scan->at, *name = moe_scan_text(scan);
        if (!name || !moe_scan_take(scan, ':'))
            return false;
        const request_key *key = json_key(j->json, name);
        if (key && *seen & 1u << key->role)
            return request_fail(rows, place, "key '%s' twice", name);
        *seen |= key ? 1u << key->role : 0;
        if (key ? !json_value(j, rows, key, request) : !moe_scan_skip(scan))
            return false;
    } while (moe_scan_maybe(scan, ','));
    return moe_scan_take(scan, '}') && moe_scan_end(scan);
}

/* Blocks from the tokens of a prompt: a block is named by the one before it and its tokens. */
static bool
json_make_blocks(json_rows *j, request_rows *rows, const moe_request *request)
{
    if (j->n_tokens != request->prompt)
        return request_fail(rows, NULL, "%zu ids of tokens for a prompt of %u tokens", j->n_tokens,
                            request->prompt);
    g_autofree uint32_t *name = g_new(uint32_t, j->block_tokens + 1);
    name[0] = MOE_NONE;
    for (size_t at = 0; at < j->n_tokens; at += j->block_tokens) {
        size_t n = MIN(j->block_tokens, j->n_tokens - at);
        memcpy(name + 1, j->tokens + at, n * sizeof *name);
        name[0] = moe_names_add(&j->prefixes, name, (n + 1) * sizeof *name);
        request_block(rows, name[0]);
    }
    return true;
}

/* Names of blocks alone become names of blocks behind all those before. */
static void
json_chain_blocks(json_rows *j, request_rows *rows)
{
    uint64_t name[2] = {MOE_NONE, 0};
    for (size_t i = 0; i < rows->n_blocks; i++) {
        name[1] = rows->blocks[i];
        name[0] = moe_names_add(&j->prefixes, name, sizeof name);
        rows->blocks[i] = name[0];
    }
}

static bool
json_blocks(json_rows *j, request_rows *rows, const moe_request *request)
{
    if (j->n_tokens && !json_make_blocks(j, rows, request))
        return false;
    if (j->json->alone)
        json_chain_blocks(j, rows);
    size_t wanted = ((size_t)request->prompt + j->block_tokens - 1) / j->block_tokens;
    if (rows->n_blocks == 0 || rows->n_blocks == wanted)
        return true;
    return request_fail(rows, NULL, "%zu blocks of %u tokens, but a prompt of %u has %zu",
                        rows->n_blocks, j->block_tokens, request->prompt, wanted);
}

/* The first chat of the session that a chat is of, itself if it is new; NULL: no memory. */
static uint64_t *
json_root(json_rows *j, uint64_t chat)
{
    uint32_t at = moe_index_map_add(&j->chats, chat);
    if (at == MOE_NONE)
        return NULL;
    if (at == j->roots->len)
        g_array_append_val(j->roots, chat);
    return &g_array_index(j->roots, uint64_t, at);
}

/* A session is named by its first chat, or by the one that its first chat goes on from. */
static bool
json_chat(json_rows *j, request_rows *rows, moe_request *request)
{
    const uint64_t *root = json_root(j, j->has_parent ? j->parent : j->chat);
    j->root = root ? *root : 0;
    uint64_t *own = json_root(j, j->chat);
    if (!root || !own)
        return request_fail(rows, NULL, "no memory for more than %u chats", j->chats.n);
    *own = j->root;
    request->session = (moe_request_name){&j->root, sizeof j->root};
    return true;
}

static bool
json_row(void *importer, request_rows *rows)
{
    json_rows *j = importer;
    const moe_text_lines *lines = &rows->lines;
    moe_request request = {0};
    unsigned seen = 0, before = rows->errors;
    if (j->max_store < lines->length + 1) {
        j->max_store = 2 * lines->length + 1;
        j->store = g_realloc(j->store, j->max_store);
    }
    j->n_tokens = 0;
    j->has_parent = false;
    j->scan = (moe_scan){lines->text, lines->text, lines->text + lines->length, j->store, NULL};
    if (!json_members(j, rows, &request, &seen)) {
        if (rows->errors == before)
            request_fail(rows, j->scan.at, "%s; wants %s", j->scan.why, j->json->object);
        return false;
    }
    for (size_t i = 0; i < j->json->n_keys; i++) {
        const request_key *key = &j->json->keys[i];
        if (key->role <= REQUEST_OUTPUT && !(seen & 1u << key->role))
            return request_fail(rows, NULL, "key '%s' is missing; wants %s", key->name,
                                j->json->object);
    }
    if (seen & 1u << REQUEST_CHAT && !json_chat(j, rows, &request))
        return false;
    return json_blocks(j, rows, &request) && request_rows_add(rows, &request);
}

static bool
json_first(void *importer, request_rows *rows)
{
    json_rows *j = importer;
    if (!moe_requests_builder_blocks(rows->builder, j->block_tokens))
        return request_fail(rows, NULL, "blocks of %u tokens, other than in the inputs before",
                            j->block_tokens);
    json_row(importer, rows);
    return true;
}

moe_requests_builder *
request_json_read(const request_json *json, moe_import_job *job)
{
    json_rows j = {.json = json, .block_tokens = json->block_tokens};
    if (!j.block_tokens)
        j.block_tokens = job->options->block_tokens ? job->options->block_tokens : JSON_BLOCK;
    j.roots = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    moe_requests_builder *builder = request_rows_read(job, JSON_MAX_LINE, json_first, json_row, &j);
    g_free(j.store);
    g_free(j.tokens);
    moe_names_clear(&j.prefixes);
    moe_index_map_clear(&j.chats);
    g_array_free(j.roots, TRUE);
    return builder;
}

int
request_json_sniff(const request_json *json, const char *head, size_t n, int sure)
{
    const char *end = memchr(head, '\n', n);
    size_t length = end ? (size_t)(end - head) : n;
    if (n == 0 || length == 0 || *head != '{')
        return 0;
    g_autofree char *line = g_strndup(head, length);
    for (size_t i = 0; i < json->n_keys; i++) {
        g_autofree char *quoted = g_strdup_printf("\"%s\"", json->keys[i].name);
        bool mark = json->keys[i].role <= REQUEST_OUTPUT || json->keys[i].role == REQUEST_CHAT;
        if (mark && !strstr(line, quoted))
            return 0;
    }
    return sure;
}
