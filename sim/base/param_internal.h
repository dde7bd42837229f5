/* What the files of the parameter tables share: scopes, values, the inside of moe_settings.
 *
 * A scope is a set of rows over one piece of memory: the table's struct, one element of a list,
 * or the config of a chosen variant. A name is a key relative to its scope. A choice's stem is
 * its name without ".kind": the name of the section in which its variant's rows are written; the
 * stem of a row named just "kind" is empty. */
#ifndef MOE_BASE_PARAM_INTERNAL_H
#define MOE_BASE_PARAM_INTERNAL_H

#include "sim/base/param.h"

enum { MOE_PARAM_PATH = 256, MOE_PARAM_ITEMS = 4096 };

typedef struct moe_param_scope {
    const moe_param *rows;
    size_t n_rows;
    const char *strip;         /* keys of its rows begin with strip_length characters of it: */
    size_t strip_length;       /* nothing, or "a.list.*." */
    char *base;                /* NULL: no memory, for help and schema */
    char path[MOE_PARAM_PATH]; /* what written keys begin with: "" or "a.list.0." */
} moe_param_scope;

/* ---- param_scope.c ---- */
moe_param_scope moe_param_scope_table(const moe_param_table *table, void *data);
/* Element i of the list; with base NULL the element of help ("a.list.*."). */
moe_param_scope moe_param_scope_item(const moe_param_scope *scope, const moe_param *list, size_t i);
/* The rows of `variant` of a choice over `config`. */
moe_param_scope moe_param_scope_variant(const moe_param_scope *scope, const moe_param *choice,
                                        const moe_variant *variant, void *config);

/* The row's name in the scope; NULL when it belongs to another. */
const char *moe_param_name(const moe_param_scope *scope, const moe_param *row);
/* Length of a choice's stem within its name. */
size_t moe_param_stem(const char *name);
/* The last component of a key that means something to people: "prefetch" for "a.prefetch.kind". */
char *moe_param_short(const char *name);
/* The choice of the scope whose stem is `section`; NULL: none. */
const moe_param *moe_param_choice_at(const moe_param_scope *scope, const char *section,
                                     size_t length);
/* The row called `name`; a choice also by its stem or stem.kind. */
const moe_param *moe_param_row(const moe_param_scope *scope, const char *name);
bool moe_param_is_section(const moe_param_scope *scope, const char *name);
const moe_variant *moe_param_variant(const moe_param *choice, const char *name);
/* Where the row's value lies. */
void *moe_param_at(const moe_param_scope *scope, const moe_param *row);

/* One name directly below a section, met once however many rows lie below it. */
typedef struct moe_param_child {
    const char *name; /* `length` characters: the last component */
    size_t length;
    const char *full; /* full_length characters: the name in the scope */
    size_t full_length;
    const moe_param *row; /* NULL: a section only */
} moe_param_child;
/* Steps through the children of `section` ("" or "a.b.") in table order; *i begins with 0. */
bool moe_param_next(const moe_param_scope *scope, const char *section, size_t *i,
                    moe_param_child *child);

typedef struct moe_param_found {
    moe_param_scope scope;
    const moe_param *row;         /* NULL: a section, see `section` */
    char section[MOE_PARAM_PATH]; /* name of the section in scope, "" for a whole element */
    bool dormant;                 /* a row of a variant that is not the chosen one: no memory */
} moe_param_found;
/* Resolves a dotted name; list elements by index. */
bool moe_param_find(const moe_param_scope *scope, const char *name, moe_param_found *found);

/* ---- param_value.c ---- */
typedef union moe_param_value {
    bool flag;
    int index;
    int64_t whole;
    double real;
    moe_amount amount;
    const char *text;
} moe_param_value;

/* For rows that are neither CHOICE nor LIST. parse: false when the text is no such value. */
bool moe_param_parse(const moe_param *row, const char *text, moe_param_value *value);
/* What is wrong with a value's size ("must be at least 1, got 0"); NULL: nothing. Yours. */
char *moe_param_range(const moe_param *row, const moe_param_value *value);
void moe_param_store(const moe_param *row, const moe_param_value *value, void *at);
/* The canonical text of the value at `at`; CHOICE: the variant's name. Yours. */
char *moe_param_format(const moe_param *row, const void *at);
/* The same of the row's default. */
char *moe_param_format_default(const moe_param *row);
/* "a size such as 24GiB": what a value looks like; borrowed. */
const char *moe_param_wants(const moe_param *row);
const char *moe_param_type_name(moe_param_type type);
/* "1 to 64", "at least 1", or NULL; yours. */
char *moe_param_range_text(const moe_param *row);
/* The names an ENUM or CHOICE may take; yours, with the names. */
GPtrArray *moe_param_names(const moe_param *row);

/* ---- param_settings.c ---- */
/* One key that was written: by which node, and where its value came from. */
typedef struct moe_param_write {
    const char *path; /* canonical */
    unsigned hash;
    const moe_yaml *node;
    moe_loc loc;
    bool set; /* by moe_settings_set */
} moe_param_write;

struct moe_settings {
    const moe_param_table *table;
    char *data;
    GPtrArray *blocks; /* all memory that values point to */
    size_t used, room; /* of the last block */
    GArray *writes;    /* moe_param_write, in order of the last write */
    GArray *provenance;
};

void *moe_settings_alloc(moe_settings *settings, size_t size); /* zeroed, aligned for anything */
const char *moe_settings_keep(moe_settings *settings, const char *text);
void moe_settings_defaults(moe_settings *settings, const moe_param_scope *scope);
/* Makes `variant` the value of the choice, with a fresh config. */
void moe_settings_choose(moe_settings *settings, const moe_param_scope *scope,
                         const moe_param *choice, const moe_variant *variant);
const moe_param_write *moe_settings_written(const moe_settings *settings, const char *path);
void moe_settings_write(moe_settings *settings, const char *path, const moe_yaml *node, moe_loc loc,
                        bool set);
/* Forgets what was written below `prefix`. */
void moe_settings_forget(moe_settings *settings, const char *prefix);

#endif
