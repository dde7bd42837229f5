#include "analysis/frame.h"

#include <string.h>

struct moe_frame {
    GStringChunk *texts;
    GPtrArray *keys;       /* interned */
    GPtrArray *identities; /* interned */
    GPtrArray *points;     /* GPtrArray of interned values, may be shorter than keys */
};

moe_frame *
moe_frame_new(void)
{
    moe_frame *frame = g_new0(moe_frame, 1);
    frame->texts = g_string_chunk_new(4096);
    frame->keys = g_ptr_array_new();
    frame->identities = g_ptr_array_new();
    frame->points = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    return frame;
}

void
moe_frame_free(moe_frame *frame)
{
    if (!frame)
        return;
    g_ptr_array_unref(frame->points);
    g_ptr_array_unref(frame->identities);
    g_ptr_array_unref(frame->keys);
    g_string_chunk_free(frame->texts);
    g_free(frame);
}

void
moe_frame_add(moe_frame *frame, const char *identity, const char *const *keys,
              const char *const *values, size_t n)
{
    g_ptr_array_add(frame->identities, g_string_chunk_insert_const(frame->texts, identity));
    g_ptr_array_add(frame->points, g_ptr_array_new());
    for (size_t i = 0; i < n; i++)
        moe_frame_set(frame, keys[i], values[i]);
}

void
moe_frame_set(moe_frame *frame, const char *key, const char *value)
{
    moe_assert(frame->points->len > 0, "key '%s' of no point", key);
    size_t at = moe_frame_find(frame, key);
    if (at == SIZE_MAX) {
        at = frame->keys->len;
        g_ptr_array_add(frame->keys, g_string_chunk_insert_const(frame->texts, key));
    }
    GPtrArray *point = g_ptr_array_index(frame->points, frame->points->len - 1);
    if (point->len <= at)
        g_ptr_array_set_size(point, (int)at + 1);
    point->pdata[at] = g_string_chunk_insert_const(frame->texts, value);
}

size_t
moe_frame_points(const moe_frame *frame)
{
    return frame->points->len;
}

const char *
moe_frame_identity(const moe_frame *frame, size_t point)
{
    return g_ptr_array_index(frame->identities, point);
}

size_t
moe_frame_keys(const moe_frame *frame)
{
    return frame->keys->len;
}

const char *
moe_frame_key(const moe_frame *frame, size_t key)
{
    return g_ptr_array_index(frame->keys, key);
}

size_t
moe_frame_find(const moe_frame *frame, const char *key)
{
    for (size_t i = 0; i < frame->keys->len; i++)
        if (!strcmp(moe_frame_key(frame, i), key))
            return i;
    return SIZE_MAX;
}

const char *
moe_frame_value(const moe_frame *frame, size_t point, size_t key)
{
    const GPtrArray *values = g_ptr_array_index(frame->points, point);
    return key < values->len ? g_ptr_array_index(values, key) : NULL;
}

GPtrArray *
moe_frame_values(const moe_frame *frame, size_t key)
{
    GPtrArray *values = g_ptr_array_new();
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    for (size_t point = 0; point < frame->points->len; point++) {
        const char *value = moe_frame_value(frame, point, key);
        if (value && g_hash_table_add(seen, (gpointer)(uintptr_t)value))
            g_ptr_array_add(values, (gpointer)(uintptr_t)value);
    }
    return values;
}

char *
moe_frame_group(const moe_frame *frame, size_t point, const size_t *keys, size_t n)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < n; i++) {
        const char *value = moe_frame_value(frame, point, keys[i]);
        g_string_append_printf(text, "%s\n", value ? value : "");
    }
    return g_string_free(text, FALSE);
}

bool
moe_frame_determined(const moe_frame *frame, size_t key, const size_t *by, size_t n)
{
    g_autoptr(GHashTable) groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t point = 0; point < frame->points->len; point++) {
        gpointer value = (gpointer)(uintptr_t)moe_frame_value(frame, point, key);
        char *group = moe_frame_group(frame, point, by, n);
        gpointer known;
        if (!g_hash_table_lookup_extended(groups, group, NULL, &known)) {
            g_hash_table_insert(groups, group, value);
            continue;
        }
        g_free(group);
        if (known != value)
            return false;
    }
    return true;
}

GArray *
moe_frame_others(const moe_frame *frame, const size_t *by, size_t n)
{
    GArray *others = g_array_new(FALSE, FALSE, sizeof(size_t));
    for (size_t key = 0; key < frame->keys->len; key++)
        if (!moe_frame_determined(frame, key, by, n))
            g_array_append_val(others, key);
    return others;
}

void
moe_selector_init(moe_selector *selector)
{
    selector->keys = g_array_new(FALSE, FALSE, sizeof(size_t));
    selector->values = g_ptr_array_new_with_free_func(g_free);
}

void
moe_selector_clear(moe_selector *selector)
{
    g_clear_pointer(&selector->keys, g_array_unref);
    g_clear_pointer(&selector->values, g_ptr_array_unref);
}

void
moe_selector_add(moe_selector *selector, size_t key, const char *value)
{
    g_array_append_val(selector->keys, key);
    g_ptr_array_add(selector->values, g_strdup(value));
}

static bool
has_value(const moe_selector *selector, size_t key, const char *value)
{
    for (size_t i = 0; value && i < selector->keys->len; i++)
        if (g_array_index(selector->keys, size_t, i) == key &&
            strcmp(value, g_ptr_array_index(selector->values, i)) == 0)
            return true;
    return false;
}

bool
moe_selector_match(const moe_selector *selector, const moe_frame *frame, size_t point)
{
    for (size_t i = 0; i < selector->keys->len; i++) {
        size_t key = g_array_index(selector->keys, size_t, i);
        if (!has_value(selector, key, moe_frame_value(frame, point, key)))
            return false;
    }
    return true;
}

bool
moe_selector_fixes(const moe_selector *selector, size_t key)
{
    size_t values = 0;
    for (size_t i = 0; i < selector->keys->len; i++)
        values += g_array_index(selector->keys, size_t, i) == key;
    return values == 1;
}

char *
moe_selector_text(const moe_selector *selector, const moe_frame *frame)
{
    GString *text = g_string_new(NULL);
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < selector->keys->len; i++) {
        size_t key = g_array_index(selector->keys, size_t, i);
        const char *value = g_ptr_array_index(selector->values, i);
        if (key == last)
            g_string_append_printf(text, "|%s", value);
        else
            g_string_append_printf(text, "%s%s=%s", i ? " " : "", moe_frame_key(frame, key), value);
        last = key;
    }
    return g_string_free(text, FALSE);
}
