/* The fields of a line of CSV (RFC 4180): separated by commas, spaces around them ignored; a field
 * in double quotes may hold commas, and a quote written twice. A quoted field ends in its line. */
#ifndef MOE_TRACES_CSV_FIELDS_H
#define MOE_TRACES_CSV_FIELDS_H

#include "traces/text_lines.h"

#define MOE_CSV_MAX_FIELDS 256

typedef struct moe_csv_field {
    const char *at; /* at[n] is a byte that ends any number or time */
    size_t n;
    const char *place; /* in the line, for messages */
} moe_csv_field;

/* Zero-initialised it is ready for use. */
typedef struct moe_csv_fields {
    moe_csv_field fields[MOE_CSV_MAX_FIELDS];
    uint32_t n;
    char *text; /* of fields whose quotes are written twice */
    size_t max_text;
} moe_csv_fields;

/* Splits the line at hand; false after a message. Valid until the next split or line. */
bool moe_csv_split(moe_csv_fields *fields, const moe_text_lines *lines);
void moe_csv_fields_clear(moe_csv_fields *fields);

#endif
