#include "tests/numerics/recipe.h"

#include "traces/safetensors.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FOLDER MOE_SOURCE_DIR "/tests/numerics/models/"

static const char *const kinds[] = {"weight", "norm", "bytes", "scales"};
typedef enum { WEIGHT, NORM, BYTES, SCALES } kind_of;

/* A line of a recipe, its name expanded. */
typedef struct entry {
    moe_tensor tensor;
    kind_of kind;
    int exponent;
} entry;

typedef struct recipe {
    const char *model;
    GArray *entries; /* of entry; names and data are owned by them */
    unsigned shards;
} recipe;

static void
entry_clear(void *data)
{
    entry *e = data;
    g_free((char *)(uintptr_t)e->tensor.name);
    g_free((void *)(uintptr_t)e->tensor.data);
}

/* ---- numbers ---- */

static uint64_t
fnv(const char *model, const char *name)
{
    uint64_t h = 0xCBF29CE484222325u;
    g_autofree char *text = g_strconcat(model, " ", name, NULL);

    for (const char *c = text; *c; c++)
        h = (h ^ (uint8_t)*c) * 0x100000001B3u;
    return h;
}

static uint8_t
byte_at(uint64_t hash, uint64_t i)
{
    uint64_t x = hash + (i + 1) * 0x9E3779B97F4A7C15u;

    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return (uint8_t)((x ^ (x >> 31)) >> 56);
}

static float
number(const entry *e, uint8_t byte)
{
    int b = byte < 128 ? byte : byte - 256;
    return e->kind == NORM ? (float)(128 + (b - (b & 1)) / 2) / 128 : ldexpf((float)b, e->exponent);
}

/* An F16 of a number that is one: zero, or of F16's normal range. */
static uint16_t
half(uint32_t bits)
{
    uint32_t exponent = bits >> 23 & 255;

    if (!(bits & INT32_MAX))
        return (uint16_t)(bits >> 16);
    moe_assert(exponent > 112 && exponent < 143 && !(bits & 0x1fff), "%08x", bits);
    return (uint16_t)((bits >> 16 & 0x8000) | (exponent - 112) << 10 | (bits >> 13 & 0x3ff));
}

static void
put(const entry *e, uint8_t *data, uint64_t i, uint8_t byte)
{
    float value = number(e, byte);
    uint32_t bits;

    memcpy(&bits, &value, 4);
    uint16_t two = e->tensor.type == MOE_TENSOR_BF16  ? (uint16_t)(bits >> 16)
                   : e->tensor.type == MOE_TENSOR_F16 ? half(bits)
                                                      : 0;
    if (e->tensor.type == MOE_TENSOR_U8)
        data[i] = (uint8_t)(e->kind == SCALES ? e->exponent + (byte & 3) : byte);
    else if (e->tensor.type == MOE_TENSOR_F32)
        memcpy(data + 4 * i, &bits, 4);
    else
        memcpy(data + 2 * i, &two, 2);
}

static void
fill(const char *model, entry *e)
{
    uint64_t hash = fnv(model, e->tensor.name);
    uint8_t *data = g_malloc(e->tensor.n_elements * moe_tensor_type_bits(e->tensor.type) / 8);

    for (uint64_t i = 0; i < e->tensor.n_elements; i++)
        put(e, data, i, byte_at(hash, i));
    e->tensor.data = data;
}

/* ---- reading ---- */

static void
parse_shape(const char *text, moe_tensor *tensor)
{
    g_auto(GStrv) sizes = g_strsplit(text, ",", -1);

    tensor->n_elements = 1;
    for (tensor->rank = 0; sizes[tensor->rank]; tensor->rank++) {
        tensor->shape[tensor->rank] = g_ascii_strtoull(sizes[tensor->rank], NULL, 10);
        tensor->n_elements *= tensor->shape[tensor->rank];
    }
}

static moe_tensor_type
parse_type(const char *text)
{
    for (unsigned i = 0; i < MOE_TENSOR_TYPES; i++)
        if (!strcmp(moe_tensor_type_name((moe_tensor_type)i), text))
            return (moe_tensor_type)i;
    moe_assert(false, "type '%s'", text);
    return 0;
}

/* layers.{0-2}.x: an entry for each of the numbers; the last range runs fastest. */
static void
expand(recipe *r, const char *name, const entry *like)
{
    const char *open = strchr(name, '{');
    unsigned from, to;

    if (!open) {
        entry e = *like;
        e.tensor.name = g_strdup(name);
        fill(r->model, &e);
        g_array_append_val(r->entries, e);
        return;
    }
    moe_assert(sscanf(open, "{%u-%u}", &from, &to) == 2, "%s", name);
    for (unsigned i = from; i <= to; i++) {
        g_autofree char *one =
            g_strdup_printf("%.*s%u%s", (int)(open - name), name, i, strchr(open, '}') + 1);
        expand(r, one, like);
    }
}

static void
parse_line(recipe *r, const char *line)
{
    g_auto(GStrv) fields = g_strsplit(line, " ", -1);
    entry e = {0};

    if (!strcmp(fields[0], "shards"))
        r->shards = (unsigned)g_ascii_strtoull(fields[1], NULL, 10);
    if (g_strv_length(fields) < 4 || *line == '#' || !strcmp(fields[0], "sequences"))
        return;
    e.tensor.type = parse_type(fields[1]);
    parse_shape(fields[2], &e.tensor);
    while (strcmp(kinds[e.kind], fields[3]))
        moe_assert(++e.kind < MOE_COUNT(kinds), "kind '%s'", fields[3]);
    e.exponent = fields[4] ? (int)g_ascii_strtoll(fields[4], NULL, 10) : 0;
    expand(r, fields[0], &e);
}

/* ---- writing ---- */

static char *
shard_name(const recipe *r, unsigned shard)
{
    if (r->shards == 1)
        return g_strdup("model.safetensors");
    return g_strdup_printf("model-%05u-of-%05u.safetensors", shard + 1, r->shards);
}

static bool
write_shard(const recipe *r, const char *folder, unsigned shard, GError **error)
{
    static const moe_meta meta[] = {{"format", "pt"}};
    g_autofree char *name = shard_name(r, shard);
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autoptr(GArray) tensors = g_array_new(FALSE, FALSE, sizeof(moe_tensor));

    for (unsigned i = shard; i < r->entries->len; i += r->shards)
        g_array_append_val(tensors, g_array_index(r->entries, entry, i).tensor);
    return moe_safetensors_write(path, (const moe_tensor *)(void *)tensors->data, tensors->len,
                                 meta, MOE_COUNT(meta), error);
}

static bool
write_index(const recipe *r, const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "model.safetensors.index.json", NULL);
    g_autoptr(GString) text = g_string_new("{\"metadata\": {}, \"weight_map\": {");

    for (unsigned i = 0; i < r->entries->len; i++) {
        g_autofree char *file = shard_name(r, i % r->shards);
        g_string_append_printf(text, "%s\n\"%s\": \"%s\"", i ? "," : "",
                               g_array_index(r->entries, entry, i).tensor.name, file);
    }
    g_string_append(text, "}}\n");
    return g_file_set_contents(path, text->str, (gssize)text->len, error);
}

bool
recipe_write(const char *name, const char *folder, GError **error)
{
    g_autofree char *path = g_strconcat(FOLDER, name, ".model", NULL);
    g_autofree char *config_path = g_build_filename(folder, "config.json", NULL);
    g_autofree char *text = NULL;
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(entry));
    recipe r = {name, entries, 1};

    g_array_set_clear_func(entries, entry_clear);
    if (!g_file_get_contents(path, &text, NULL, error))
        return false;
    char *config = strstr(text, "\nconfig\n");
    moe_assert(config, "%s has no config", path);
    *config = '\0';
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        parse_line(&r, *line);
    bool ok = g_file_set_contents(config_path, config + strlen("\nconfig\n"), -1, error) &&
              (r.shards == 1 || write_index(&r, folder, error));
    for (unsigned i = 0; ok && i < r.shards; i++)
        ok = write_shard(&r, folder, i, error);
    return ok;
}

void
recipe_remove(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);

    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **
recipe_names(void)
{
    g_autoptr(GDir) dir = g_dir_open(FOLDER, 0, NULL);
    GPtrArray *names = g_ptr_array_new();

    for (const char *name; dir && (name = g_dir_read_name(dir));)
        if (g_str_has_suffix(name, ".model"))
            g_ptr_array_add(names, g_strndup(name, strlen(name) - strlen(".model")));
    qsort(names->pdata, names->len, sizeof(char *), by_name);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}
