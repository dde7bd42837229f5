#include "sim/base/param_internal.h"

#include <string.h>

#define SCHEMA_NUMBER "[+-]?(0|[1-9][0-9]*)(\\\\.[0-9]+)?([eE][+-]?[0-9]+)?"
#define SCHEMA_BYTES "([kMGT]?B|[KMGT]iB)"

/* JSON of a value that is one type of node; numbers among them get the row's range. */
static const struct {
    const char *plain;   /* the node's JSON type; NULL: text only */
    const char *pattern; /* as a text; NULL: none */
} schema_types[] = {
    [MOE_PARAM_BOOL] = {"boolean", NULL},
    [MOE_PARAM_INT] = {"integer", NULL},
    [MOE_PARAM_REAL] = {"number", NULL},
    [MOE_PARAM_SHARE] = {"number", "^" SCHEMA_NUMBER " ?%$"},
    [MOE_PARAM_BYTES] = {"integer", "^" SCHEMA_NUMBER "( ?" SCHEMA_BYTES ")?$"},
    [MOE_PARAM_TIME] = {"zero", "^" SCHEMA_NUMBER " ?([pnum]?s|min|h)$"},
    [MOE_PARAM_RATE] = {"zero", "^" SCHEMA_NUMBER " ?" SCHEMA_BYTES "/s$"},
    [MOE_PARAM_FLOPS] = {"zero", "^" SCHEMA_NUMBER " ?[kMGTP]?(FL)?OPS$"},
    [MOE_PARAM_POWER] = {"zero", "^" SCHEMA_NUMBER " ?[mkM]?W$"},
    [MOE_PARAM_BIT_ENERGY] = {"zero", "^(unknown|" SCHEMA_NUMBER " ?[fpnu]J/(bit|B))$"},
    [MOE_PARAM_FLOP_ENERGY] = {"zero", "^(unknown|" SCHEMA_NUMBER " ?[fpnu]J/(FLOP|OP))$"},
    [MOE_PARAM_AMOUNT] = {"share", "^(rest|" SCHEMA_NUMBER " ?(%|" SCHEMA_BYTES
                                   ")|(0|[1-9][0-9]*) slots?)$"},
    [MOE_PARAM_COUNT] = {"integer", "^all$"},
    [MOE_PARAM_TEXT] = {"scalar", NULL},
};

static void
schema_text(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            g_string_append_printf(out, "\\%c", c);
        else if (c < 0x20)
            g_string_append_printf(out, "\\u%04x", c);
        else
            g_string_append_c(out, *text);
    }
    g_string_append_c(out, '"');
}

static void
schema_bound(GString *out, const char *name, double bound)
{
    char number[32];
    g_string_append_printf(out, ", \"%s\": %s", name, moe_format_real(number, bound));
}

static void
schema_plain(const moe_param *row, const char *plain, GString *out)
{
    if (strcmp(plain, "zero") == 0) {
        g_string_append(out, "{\"const\": 0}");
        return;
    }
    if (strcmp(plain, "scalar") == 0) {
        g_string_append(out, "{\"type\": [\"string\", \"number\", \"boolean\"]}");
        return;
    }
    bool share = row->type == MOE_PARAM_SHARE || row->type == MOE_PARAM_AMOUNT;
    bool bounded = row->min != 0 || row->max != 0;
    bool natural = row->type == MOE_PARAM_BYTES || row->type == MOE_PARAM_COUNT;
    g_string_append_printf(out, "{\"type\": \"%s\"", share ? "number" : plain);
    if (bounded || share || natural)
        schema_bound(out, "minimum", bounded ? row->min : 0);
    if (share || (bounded && row->max >= row->min))
        schema_bound(out, "maximum", bounded ? row->max : 1);
    g_string_append_c(out, '}');
}

static void
schema_names(const moe_param *row, GString *out)
{
    g_autoptr(GPtrArray) names = moe_param_names(row);
    g_string_append(out, "{\"enum\": [");
    for (unsigned i = 0; i < names->len; i++) {
        if (i)
            g_string_append(out, ", ");
        schema_text(out, g_ptr_array_index(names, i));
    }
    g_string_append(out, "]}");
}

static void
schema_value(const moe_param *row, GString *out)
{
    if (row->type == MOE_PARAM_ENUM) {
        schema_names(row, out);
        return;
    }
    const char *plain = schema_types[row->type].plain, *pattern = schema_types[row->type].pattern;
    bool recorded = row->type == MOE_PARAM_COUNT && row->flags & MOE_PARAM_RECORDED;
    if (!pattern) {
        schema_plain(row, plain, out);
        return;
    }
    g_string_append(out, "{\"anyOf\": [");
    schema_plain(row, plain, out);
    g_string_append_printf(out, ", {\"type\": \"string\", \"pattern\": \"%s\"}]}",
                           recorded ? "^(all|recorded)$" : pattern);
}

static void schema_properties(const moe_param_scope *scope, const char *section, bool *first,
                              GString *out);

static void
schema_key(const char *name, size_t length, bool *first, GString *out)
{
    g_autofree char *key = g_strndup(name, length);
    g_string_append(out, *first ? "" : ", ");
    *first = false;
    schema_text(out, key);
    g_string_append(out, ": ");
}

/* The map form of a choice: its kind, what the variant has, and the table's rows beside it. */
static void
schema_variant(const moe_param_scope *scope, const moe_param *choice, const moe_variant *variant,
               GString *out)
{
    const char *name = moe_param_name(scope, choice);
    size_t stem = moe_param_stem(name);
    g_autofree char *section = stem ? g_strdup_printf("%.*s.", (int)stem, name) : g_strdup("");
    moe_param_scope inner = moe_param_scope_variant(scope, choice, variant, NULL);
    bool first = true, usual = choice->fallback && strcmp(choice->fallback, variant->name) == 0;
    g_string_append(out, "{\"type\": \"object\", \"description\": ");
    schema_text(out, variant->help);
    g_string_append(out, ", \"additionalProperties\": false, \"properties\": {");
    schema_key("kind", strlen("kind"), &first, out);
    g_string_append(out, "{\"const\": ");
    schema_text(out, variant->name);
    g_string_append_c(out, '}');
    schema_properties(&inner, "", &first, out);
    schema_properties(scope, section, &first, out);
    g_string_append(out, usual ? "}}" : "}, \"required\": [\"kind\"]}");
}

static void
schema_choice(const moe_param_scope *scope, const moe_param *row, bool names, GString *out)
{
    g_string_append(out, "{\"oneOf\": [");
    if (names)
        schema_names(row, out);
    for (size_t i = 0; i < row->n_variants; i++) {
        g_string_append(out, i || names ? ", " : "");
        schema_variant(scope, row, row->variants[i], out);
    }
    g_string_append(out, "]}");
}

static void
schema_item(const moe_param_scope *item, GString *out)
{
    const moe_param *choice = moe_param_choice_at(item, "", 0);
    if (choice) {
        schema_choice(item, choice, false, out);
        return;
    }
    bool first = true;
    g_string_append(out, "{\"type\": \"object\", \"additionalProperties\": false, "
                         "\"properties\": {");
    schema_properties(item, "", &first, out);
    g_string_append(out, "}, \"required\": [");
    moe_param_child child;
    bool none = true;
    for (size_t i = 0; moe_param_next(item, "", &i, &child);) {
        if (!child.row || !(child.row->flags & MOE_PARAM_REQUIRED))
            continue;
        g_autofree char *name = g_strndup(child.name, child.length);
        g_string_append(out, none ? "" : ", ");
        schema_text(out, name);
        none = false;
    }
    g_string_append(out, "]}");
}

static void
schema_list(const moe_param_scope *scope, const moe_param *row, GString *out)
{
    moe_param_scope item = moe_param_scope_item(scope, row, 0);
    size_t most = row->max_items ? row->max_items : MOE_PARAM_ITEMS;
    g_string_append_printf(out, "{\"type\": \"array\", \"maxItems\": %zu, \"items\": ", most);
    schema_item(&item, out);
    g_string_append_c(out, '}');
}

static void
schema_sourced(const moe_param *row, GString *out)
{
    g_string_append(out, "{\"anyOf\": [");
    schema_value(row, out);
    g_string_append(out, ", {\"type\": \"object\", \"additionalProperties\": false, "
                         "\"required\": [\"value\"], \"properties\": {\"value\": ");
    schema_value(row, out);
    g_string_append(
        out, ", \"basis\": {\"enum\": [\"vendor\", \"measured\", \"fitted\", "
             "\"derived\", \"literature\", \"secondary\", \"estimate\"]}, \"source\": {\"type\": "
             "\"string\"}, \"note\": {\"type\": \"string\"}}}]}");
}

/* A row: its value's schema, its help and its default. */
static void
schema_row(const moe_param_scope *scope, const moe_param *row, GString *out)
{
    g_autoptr(GString) value = g_string_new(NULL);
    if (row->type == MOE_PARAM_CHOICE)
        schema_choice(scope, row, true, value);
    else if (row->type == MOE_PARAM_LIST)
        schema_list(scope, row, value);
    else if (row->flags & MOE_PARAM_SOURCED)
        schema_sourced(row, value);
    else
        schema_value(row, value);
    g_string_append_len(out, value->str, (gssize)value->len - 1);
    g_string_append(out, ", \"description\": ");
    schema_text(out, row->help);
    if (row->fallback) {
        bool plain = row->type == MOE_PARAM_BOOL || row->type == MOE_PARAM_INT ||
                     row->type == MOE_PARAM_REAL;
        g_string_append(out, ", \"default\": ");
        if (plain)
            g_string_append(out, row->fallback);
        else
            schema_text(out, row->fallback);
    }
    g_string_append_c(out, '}');
}

static void
schema_properties(const moe_param_scope *scope, const char *section, bool *first, GString *out)
{
    moe_param_child child;
    for (size_t i = 0; moe_param_next(scope, section, &i, &child);) {
        const char *name = child.row ? moe_param_name(scope, child.row) : NULL;
        bool own_kind =
            name && child.row->type == MOE_PARAM_CHOICE && moe_param_stem(name) < child.full_length;
        if (own_kind) /* in schema_variant */
            continue;
        schema_key(child.name, child.length, first, out);
        if (child.row) {
            schema_row(scope, child.row, out);
            continue;
        }
        bool below = true;
        g_autofree char *full = g_strdup_printf("%.*s.", (int)child.full_length, child.full);
        g_string_append(out, "{\"type\": \"object\", \"additionalProperties\": false, "
                             "\"properties\": {");
        schema_properties(scope, full, &below, out);
        g_string_append(out, "}}");
    }
}

void
moe_param_schema(const moe_param_table *table, GString *out)
{
    moe_param_scope scope = moe_param_scope_table(table, NULL);
    bool first = true;
    g_string_append(out, "\"type\": \"object\", \"properties\": {");
    schema_properties(&scope, "", &first, out);
    g_string_append_c(out, '}');
}
