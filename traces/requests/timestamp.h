/* Times as request traces write them, exact to the nanosecond, without a C library's clock. */
#ifndef MOE_TRACES_REQUESTS_TIMESTAMP_H
#define MOE_TRACES_REQUESTS_TIMESTAMP_H

#include "sim/base/base.h"

#define MOE_NS_PER_S 1000000000LL
#define MOE_TIMESTAMP_SIZE 40
#define MOE_TIMESTAMP_MIN (-631152000 * MOE_NS_PER_S) /* 1950-01-01 */
#define MOE_TIMESTAMP_MAX (7289654400 * MOE_NS_PER_S) /* 2201-01-01, not any more */

/* Reads "2023-11-16 18:17:03.9799600", with 'T' for the blank, no or any number of decimals (halves
 * of a nanosecond round up) and, perhaps, Z or +01:00 behind it, at the start of `text`, as
 * nanoseconds since 1970-01-01 00:00 (UTC, unless the source meant something else; leap seconds do
 * not exist; the calendar is Gregorian). Years 1950 to 2200. Returns what follows it, NULL when
 * there is no such time. Never reads beyond a byte that cannot belong to it. */
const char *moe_timestamp_read(const char *text, int64_t *ns);
/* "2023-11-16 18:17:03.979960000"; returns buffer[MOE_TIMESTAMP_SIZE]. */
char *moe_timestamp_write(char *buffer, int64_t ns);

/* Reads a plain decimal number of units of `unit_ns` nanoseconds, rounded to the nearest; returns
 * what follows it, NULL when there is no number or it does not fit. "5", "0.25", "1.5e3". */
const char *moe_duration_read(const char *text, int64_t unit_ns, int64_t *ns);

#endif
