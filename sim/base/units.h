/* Quantities as people write them, and back.
 *
 * Written units: bytes B kB MB GB TB (10^3 steps) KiB MiB GiB TiB (2^10 steps); rates X/s; time
 * ps ns us ms s min h; shares 25% or 0.25; FLOPS, kFLOPS … PFLOPS (and OPS/TOPS alike); energy
 * fJ pJ nJ uJ per bit, B, FLOP or OP; plain decimal numbers. A space between number and unit is
 * allowed. Hexadecimal, octal, inf, nan, and values out of the target's range are refused. Parsing
 * never depends on the locale.
 *
 * Simulated time is int64 picoseconds everywhere: moe_time (sim/core/time.h) is an alias of
 * int64_t so that models, hw and traces need not see the engine. */
#ifndef MOE_BASE_UNITS_H
#define MOE_BASE_UNITS_H

#include "sim/base/base.h"

#include <glib.h>

#define MOE_KIB 1024LL
#define MOE_MIB (1024LL * 1024)
#define MOE_GIB (1024LL * 1024 * 1024)
#define MOE_PS_PER_S 1000000000000LL

/* An amount of space: a share of something, bytes, a count of slots, or all that is left. */
typedef enum moe_amount_kind {
    MOE_AMOUNT_SHARE, /* value in 0..1 */
    MOE_AMOUNT_BYTES, /* bytes */
    MOE_AMOUNT_SLOTS, /* objects: written "12 slots" */
    MOE_AMOUNT_REST,  /* written "rest" */
} moe_amount_kind;

typedef struct moe_amount {
    moe_amount_kind kind;
    double share;
    int64_t count; /* bytes or slots */
} moe_amount;

/* Each parser returns false and leaves *out alone when the text is not such a quantity. */
bool moe_parse_int(const char *text, int64_t *out);   /* decimal, optional sign, 1_000 refused */
bool moe_parse_real(const char *text, double *out);   /* finite decimal */
bool moe_parse_bool(const char *text, bool *out);     /* true | false */
bool moe_parse_bytes(const char *text, int64_t *out); /* "24GiB", "512", >= 0 */
bool moe_parse_time(const char *text, int64_t *ps);   /* "12us"; a bare number is refused, but 0 */
bool moe_parse_rate(const char *text, double *bytes_per_s);  /* "3.35TB/s" */
bool moe_parse_flops(const char *text, double *flops_per_s); /* "312TFLOPS" */
bool moe_parse_share(const char *text, double *share);       /* "25%" or "0.25" */
bool moe_parse_power(const char *text, double *watt);        /* "450W" */
/* Energy of a bit that is moved ("3.9pJ/bit", "31pJ/B") and of an operation ("0.5pJ/FLOP"). */
bool moe_parse_bit_energy(const char *text, double *pj_per_bit);
bool moe_parse_flop_energy(const char *text, double *pj_per_flop);
bool moe_parse_amount(const char *text, moe_amount *out);

/* Writers, for messages and tables; yours to free. They round for reading, never for storing. */
char *moe_format_bytes(int64_t bytes);     /* "87.0 GiB", "512 B" */
char *moe_format_time(int64_t ps);         /* "12.3 us" */
char *moe_format_rate(double bytes_per_s); /* "24.7 GB/s" */
char *moe_format_energy(double joules);    /* "12.3 mJ" */
char *moe_format_count(double value);      /* "20.9 B", "1.28 M" */
char *moe_format_amount(moe_amount amount);

/* Shortest decimal text that reads back as exactly `value` ("0.1", "1e+20"); for canonical
 * output. buffer needs 32 bytes; returns it. */
char *moe_format_real(char *buffer, double value);

#endif
