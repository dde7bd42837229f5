#include "sim/base/yaml.h"
#include "sim/base/error.h"
#include "sim/base/yaml_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

enum { YAML_DEPTH = 32, YAML_BYTES = 1 << 20 };

struct moe_yaml_doc {
    char *file;
    GStringChunk *texts;
    GPtrArray *blocks; /* arrays of nodes */
    moe_yaml root;
};

/* One parse: where libyaml is, and what was found wrong. */
typedef struct reader {
    yaml_parser_t parser;
    moe_yaml_doc *doc;
    moe_diag *diag;
    moe_yaml_source source;
    unsigned errors;
} reader;

static bool reader_node(reader *r, const yaml_event_t *event, int depth, moe_yaml *out);

MOE_PRINTF(3, 4)
static void
reader_error(reader *r, moe_loc loc, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    moe_diag_error(r->diag, loc, "%s", text);
    r->errors++;
}

static moe_loc
reader_loc(const reader *r, const yaml_mark_t *mark)
{
    return (moe_loc){r->doc->file, (int)mark->line + 1, (int)mark->column + 1, 0};
}

/* libyaml's own words, with a hint where they do not tell what to do. */
static void
reader_syntax(reader *r)
{
    static const struct {
        const char *problem, *hint;
    } hints[] = {
        {"mapping values are not allowed in this context",
         "a value that holds ': ' needs quotes, and keys of one map the same indent"},
        {"found character that cannot start any token",
         "indent with spaces, and quote values that begin with @, ` or %"},
        {"could not find expected ':'", "each line of a map is 'key: value'"},
        {"did not find expected key", "keys of one map need the same indent"},
    };
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "cannot be parsed", *hint = NULL;
    for (size_t i = 0; i < MOE_COUNT(hints); i++) {
        if (strcmp(hints[i].problem, problem) == 0)
            hint = hints[i].hint;
    }
    GString *text = g_string_new(problem);
    if (p->context) {
        g_string_append_printf(text, " (%s", p->context);
        if (p->context_mark.line != p->problem_mark.line)
            g_string_append_printf(text, " from line %zu on", p->context_mark.line + 1);
        g_string_append_c(text, ')');
    }
    if (hint)
        g_string_append_printf(text, "; %s", hint);
    reader_error(r, reader_loc(r, &p->problem_mark), "not YAML: %s", text->str);
    g_string_free(text, TRUE);
}

/* The next event; false after a located error. */
static bool
reader_next(reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event))
        return true;
    reader_syntax(r);
    return false;
}

static void
reader_properties(reader *r, const yaml_event_t *event, const yaml_char_t *anchor,
                  const yaml_char_t *tag)
{
    if (anchor)
        reader_error(r, reader_loc(r, &event->start_mark), "anchors ('&%s') are not allowed",
                     (const char *)anchor);
    if (tag)
        reader_error(r, reader_loc(r, &event->start_mark), "tags ('%s') are not allowed",
                     (const char *)tag);
}

static void
reader_scalar(reader *r, const yaml_event_t *event, moe_yaml *out)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    reader_properties(r, event, event->data.scalar.anchor, event->data.scalar.tag);
    if (memchr(value, '\0', length))
        reader_error(r, out->loc, "a text must not hold a NUL character");
    out->kind = MOE_YAML_SCALAR;
    out->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    out->text = g_string_chunk_insert_len(r->doc->texts, value, (gssize)length);
    size_t end = event->end_mark.line == event->start_mark.line ? event->end_mark.index : SIZE_MAX;
    out->loc.length = moe_yaml_source_length(&r->source, event->start_mark.index, end);
}

/* Moves the nodes of `array` to memory of the document. */
static const moe_yaml *
reader_keep(reader *r, GArray *array, size_t *n)
{
    gsize length;
    gpointer nodes = g_array_steal(array, &length);
    g_ptr_array_add(r->doc->blocks, nodes);
    *n = length;
    return nodes;
}

static bool
reader_list(reader *r, const yaml_event_t *start, int depth, moe_yaml *out)
{
    reader_properties(r, start, start->data.sequence_start.anchor, start->data.sequence_start.tag);
    g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(moe_yaml));
    out->kind = MOE_YAML_LIST;
    for (;;) {
        yaml_event_t event;
        if (!reader_next(r, &event))
            return false;
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        moe_yaml item;
        bool ok = end || reader_node(r, &event, depth, &item);
        yaml_event_delete(&event);
        if (!ok)
            return false;
        if (end)
            break;
        g_array_append_val(items, item);
    }
    out->items = reader_keep(r, items, &out->n);
    return true;
}

/* Checks a key; `seen` holds the keys of this map so far, by text. */
static void
reader_key(reader *r, const moe_yaml *key, GHashTable *seen)
{
    if (key->kind != MOE_YAML_SCALAR) {
        reader_error(r, key->loc, "a key must be a name, not %s", moe_yaml_kind_name(key->kind));
        return;
    }
    if (!*key->text)
        reader_error(r, key->loc, "a key must not be empty");
    if (strcmp(key->text, "<<") == 0 && !key->quoted)
        reader_error(r, key->loc, "merge keys ('<<') are not allowed");
    const moe_loc *first = g_hash_table_lookup(seen, key->text);
    if (first) {
        reader_error(r, key->loc, "duplicate key '%s'; first written at line %d, column %d",
                     key->text, first->line, first->column);
        return;
    }
    g_hash_table_insert(seen, (gpointer)(uintptr_t)key->text,
                        g_memdup2(&key->loc, sizeof key->loc));
}

static bool
reader_pair(reader *r, yaml_event_t *event, int depth, GHashTable *seen, GArray *keys,
            GArray *items)
{
    moe_yaml key, value;
    bool ok = reader_node(r, event, depth, &key);
    yaml_event_delete(event);
    if (!ok || !reader_next(r, event))
        return false;
    ok = reader_node(r, event, depth, &value);
    yaml_event_delete(event);
    if (!ok)
        return false;
    reader_key(r, &key, seen);
    g_array_append_val(keys, key);
    g_array_append_val(items, value);
    return true;
}

static bool
reader_map(reader *r, const yaml_event_t *start, int depth, moe_yaml *out)
{
    reader_properties(r, start, start->data.mapping_start.anchor, start->data.mapping_start.tag);
    g_autoptr(GArray) keys = g_array_new(FALSE, FALSE, sizeof(moe_yaml));
    g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(moe_yaml));
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    out->kind = MOE_YAML_MAP;
    for (;;) {
        yaml_event_t event;
        if (!reader_next(r, &event))
            return false;
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            break;
        }
        if (!reader_pair(r, &event, depth, seen, keys, items))
            return false;
    }
    size_t n;
    out->keys = reader_keep(r, keys, &n);
    out->items = reader_keep(r, items, &out->n);
    return true;
}

/* Builds the node that `event` begins; false when parsing cannot go on. */
static bool
reader_node(reader *r, const yaml_event_t *event, int depth, moe_yaml *out)
{
    memset(out, 0, sizeof *out);
    out->loc = reader_loc(r, &event->start_mark);
    if (event->type == YAML_ALIAS_EVENT) {
        reader_error(r, out->loc, "aliases ('*%s') are not allowed",
                     (const char *)event->data.alias.anchor);
        out->text = g_string_chunk_insert(r->doc->texts, "*");
        return true;
    }
    if (event->type == YAML_SCALAR_EVENT) {
        reader_scalar(r, event, out);
        return true;
    }
    if (depth == YAML_DEPTH) {
        reader_error(r, out->loc, "nested deeper than %d levels", YAML_DEPTH);
        return false;
    }
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return reader_list(r, event, depth + 1, out);
    moe_assert(event->type == YAML_MAPPING_START_EVENT, "event %d", (int)event->type);
    return reader_map(r, event, depth + 1, out);
}

static void
reader_directives(reader *r, const yaml_event_t *event)
{
    if (event->data.document_start.tag_directives.start !=
        event->data.document_start.tag_directives.end)
        reader_error(r, reader_loc(r, &event->start_mark), "%%TAG directives are not allowed");
}

static void
reader_root(reader *r, const yaml_event_t *event)
{
    if (!reader_node(r, event, 0, &r->doc->root))
        return;
    const moe_yaml *root = &r->doc->root;
    if (root->kind == MOE_YAML_SCALAR && !root->quoted && !*root->text)
        reader_error(r, (moe_loc){r->doc->file, 0, 0, 0}, "the file is empty");
}

/* Walks the stream: one document and nothing behind it. */
static void
reader_run(reader *r)
{
    unsigned documents = 0;
    for (bool more = true; more && r->errors == 0;) {
        yaml_event_t event;
        if (!reader_next(r, &event))
            return;
        more = event.type != YAML_STREAM_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT) {
            if (documents++ > 0)
                reader_error(r, reader_loc(r, &event.start_mark),
                             "a second document begins here; only one is read");
            reader_directives(r, &event);
        } else if (event.type != YAML_STREAM_START_EVENT && event.type != YAML_DOCUMENT_END_EVENT &&
                   more) {
            reader_root(r, &event);
        }
        yaml_event_delete(&event);
    }
    if (documents == 0 && r->errors == 0)
        reader_error(r, (moe_loc){r->doc->file, 0, 0, 0}, "the file is empty");
}

moe_yaml_doc *
moe_yaml_parse(const char *name, const char *text, size_t length, moe_diag *diag)
{
    moe_yaml_doc *doc = g_new0(moe_yaml_doc, 1);
    doc->file = g_strdup(name);
    doc->texts = g_string_chunk_new(1024);
    doc->blocks = g_ptr_array_new_with_free_func(g_free);
    reader r = {.doc = doc, .diag = diag};
    if (length > YAML_BYTES) {
        reader_error(&r, (moe_loc){doc->file, 0, 0, 0}, "%zu bytes; at most 1 MiB is read", length);
    } else {
        moe_yaml_source_init(&r.source, doc->file, text, length);
        moe_diag_source(diag, doc->file, r.source.text, r.source.length);
        if (!moe_yaml_source_check(&r.source, diag))
            r.errors++;
    }
    if (r.errors == 0) {
        moe_assert(yaml_parser_initialize(&r.parser), "no memory for %s", name);
        yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&r.parser, (const unsigned char *)r.source.text,
                                     r.source.length);
        reader_run(&r);
        yaml_parser_delete(&r.parser);
    }
    if (r.errors == 0)
        return doc;
    moe_yaml_free(doc);
    return NULL;
}

/* Reads a regular file of at most YAML_BYTES; a larger one is refused by its size alone. */
static char *
yaml_slurp(int fd, const char *path, size_t *length, moe_diag *diag, GError **error)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot read");
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        moe_error_path(error, MOE_ERROR_FILE, path, 0, "%s",
                       S_ISDIR(st.st_mode) ? "is a folder" : "not a regular file");
        return NULL;
    }
    g_autofree char *text = g_malloc(YAML_BYTES + 1);
    size_t n = 0;
    bool large = st.st_size > YAML_BYTES;
    while (!large && n <= YAML_BYTES) {
        ssize_t got = read(fd, text + n, YAML_BYTES + 1 - n);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR) {
            moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot read");
            return NULL;
        }
        n += got > 0 ? (size_t)got : 0;
    }
    if (large || n > YAML_BYTES) {
        moe_diag_error(diag, (moe_loc){moe_diag_intern(diag, path), 0, 0, 0},
                       "%lld bytes; at most 1 MiB is read", (long long)st.st_size);
        return NULL;
    }
    *length = n;
    return g_steal_pointer(&text);
}

moe_yaml_doc *
moe_yaml_load(const char *path, moe_diag *diag, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        moe_error_path(error, MOE_ERROR_FILE, path, errno, "cannot open");
        return NULL;
    }
    size_t length;
    g_autofree char *text = yaml_slurp(fd, path, &length, diag, error);
    close(fd);
    return text ? moe_yaml_parse(path, text, length, diag) : NULL;
}

void
moe_yaml_free(moe_yaml_doc *doc)
{
    if (!doc)
        return;
    g_ptr_array_unref(doc->blocks);
    g_string_chunk_free(doc->texts);
    g_free(doc->file);
    g_free(doc);
}

const moe_yaml *
moe_yaml_root(const moe_yaml_doc *doc)
{
    return &doc->root;
}

const moe_yaml *
moe_yaml_get(const moe_yaml *node, const char *key)
{
    if (node->kind != MOE_YAML_MAP)
        return NULL;
    for (size_t i = 0; i < node->n; i++) {
        if (strcmp(node->keys[i].text, key) == 0)
            return &node->items[i];
    }
    return NULL;
}

const char *
moe_yaml_kind_name(moe_yaml_kind kind)
{
    static const char *const names[] = {"a scalar", "a list", "a map"};
    return names[kind];
}
