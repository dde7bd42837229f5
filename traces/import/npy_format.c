#include "traces/import/npy_format.h"

#include <string.h>

#define NPY_MAX_HEADER (1u << 20)

static const char npy_magic[] = "\x93NUMPY";

/* The header's text while it is read; the first failure sticks. */
typedef struct npy_scan {
    const char *at, *end;
    const char *why;
} npy_scan;

bool
moe_npy_is(const void *bytes, size_t n_bytes)
{
    return n_bytes >= 6 && memcmp(bytes, npy_magic, 6) == 0;
}

static bool
npy_fail(npy_scan *s, const char *why)
{
    if (!s->why)
        s->why = why;
    return false;
}

static void
npy_space(npy_scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n'))
        s->at++;
}

static bool
npy_maybe(npy_scan *s, char c)
{
    npy_space(s);
    if (s->why || s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static bool
npy_word(npy_scan *s, const char *word)
{
    size_t n = strlen(word);
    npy_space(s);
    if (s->why || (size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
        return false;
    s->at += n;
    return true;
}

/* A text in quotes of either kind, without escapes, copied. */
static bool
npy_text(npy_scan *s, char *out, size_t max)
{
    char quote = npy_maybe(s, '\'') ? '\'' : npy_maybe(s, '"') ? '"' : '\0';
    if (!quote)
        return npy_fail(s, "wants a text in quotes");
    size_t n = 0;
    for (; s->at < s->end && *s->at != quote; s->at++) {
        if (*s->at == '\\' || (unsigned char)*s->at < 0x20 || n + 1 >= max)
            return npy_fail(s, "a text that numpy does not write");
        out[n++] = *s->at;
    }
    if (s->at == s->end)
        return npy_fail(s, "text without an end");
    s->at++;
    out[n] = '\0';
    return true;
}

static bool
npy_dimension(npy_scan *s, uint64_t *out)
{
    npy_space(s);
    const char *first = s->at;
    uint64_t value = 0;
    for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++)
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*s->at - '0'), &value))
            return npy_fail(s, "a dimension above 2^64");
    if (s->at == first)
        return npy_fail(s, "wants whole numbers in the shape");
    if (s->at < s->end && *s->at == 'L') /* written by Python 2 */
        s->at++;
    *out = value;
    return true;
}

static bool
npy_shape(npy_scan *s, moe_array *array)
{
    if (!npy_maybe(s, '('))
        return npy_fail(s, "wants a shape in parentheses");
    array->rank = 0;
    while (!npy_maybe(s, ')')) {
        if (array->rank == MOE_ARRAY_MAX_RANK)
            return npy_fail(s, "more than 8 dimensions");
        if (!npy_dimension(s, &array->shape[array->rank++]))
            return false;
        if (!npy_maybe(s, ',')) {
            if (!npy_maybe(s, ')'))
                return npy_fail(s, "wants ',' or ')' in the shape");
            break;
        }
    }
    return true;
}

typedef struct npy_header {
    char descr[32];
    bool fortran, structured;
    unsigned seen; /* bits: descr, fortran_order, shape */
} npy_header;

static bool
npy_bool(npy_scan *s, bool *out)
{
    *out = npy_word(s, "True");
    return *out || npy_word(s, "False") || npy_fail(s, "wants True or False");
}

static bool
npy_entry(npy_scan *s, npy_header *header, moe_array *array)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    char key[32];
    if (!npy_text(s, key, sizeof key))
        return false;
    if (!npy_maybe(s, ':'))
        return npy_fail(s, "wants ':'");
    unsigned which = 0;
    while (which < MOE_COUNT(keys) && strcmp(key, keys[which]) != 0)
        which++;
    if (which == MOE_COUNT(keys))
        return npy_fail(s, "a key other than descr, fortran_order and shape");
    if (header->seen & 1u << which)
        return npy_fail(s, "a key written twice");
    header->seen |= 1u << which;
    if (which == 0) {
        header->structured = npy_maybe(s, '[');
        return !header->structured && npy_text(s, header->descr, sizeof header->descr);
    }
    return which == 1 ? npy_bool(s, &header->fortran) : npy_shape(s, array);
}

static bool
npy_dict(npy_scan *s, npy_header *header, moe_array *array)
{
    if (!npy_maybe(s, '{'))
        return npy_fail(s, "wants '{'");
    while (!npy_maybe(s, '}')) {
        if (!npy_entry(s, header, array))
            return false;
        if (!npy_maybe(s, ',')) {
            if (!npy_maybe(s, '}'))
                return npy_fail(s, "wants ',' or '}'");
            break;
        }
    }
    npy_space(s);
    if (s->at != s->end)
        return npy_fail(s, "text behind '}'");
    return header->seen == 7 || npy_fail(s, "descr, fortran_order or shape is missing");
}

static bool
npy_type(const char *descr, moe_array *array)
{
    static const struct {
        const char *name;
        moe_array_type type;
    } types[] = {
        {"b1", MOE_ARRAY_U8},  {"u1", MOE_ARRAY_U8},  {"i1", MOE_ARRAY_I8},  {"u2", MOE_ARRAY_U16},
        {"i2", MOE_ARRAY_I16}, {"u4", MOE_ARRAY_U32}, {"i4", MOE_ARRAY_I32}, {"u8", MOE_ARRAY_U64},
        {"i8", MOE_ARRAY_I64}, {"f2", MOE_ARRAY_F16}, {"f4", MOE_ARRAY_F32}, {"f8", MOE_ARRAY_F64},
    };
    if (!*descr || !strchr("<>|=", descr[0]))
        return false;
    for (size_t i = 0; i < MOE_COUNT(types); i++) {
        if (strcmp(types[i].name, descr + 1) != 0)
            continue;
        array->type = types[i].type;
        array->swapped = descr[0] == '>' && moe_array_type_bytes(array->type) > 1;
        return descr[0] != '|' || moe_array_type_bytes(array->type) == 1;
    }
    return false;
}

/* A type that is none of ours, with what to do about it. */
static bool
npy_refuse_type(const moe_place *place, const npy_header *header)
{
    const char *d = header->descr;
    if (header->structured)
        return moe_place_error(place, "an npy array of records; save each field as an array of its "
                                      "own");
    if (strchr(d, 'O'))
        return moe_place_error(place,
                               "an npy array of Python objects, which is a pickle and not read; "
                               "save arrays of numbers (numpy.stack, or one member per array)");
    if (strcmp(d, "|V2") == 0 || strcmp(d, "<V2") == 0)
        return moe_place_error(place, "an npy array of type '%s' (bfloat16?); save it as float32",
                               d);
    return moe_place_error(place,
                           "an npy array of type '%s'; wants whole numbers of 1 to 8 bytes, "
                           "or float16, float32, float64",
                           d);
}

/* The header's place and length; false after a message. */
static bool
npy_header_of(const uint8_t *bytes, size_t n_bytes, const moe_place *place, npy_scan *s)
{
    if (!moe_npy_is(bytes, n_bytes))
        return moe_place_error(place, "no npy array: it does not begin with \\x93NUMPY");
    size_t fixed = n_bytes > 6 && bytes[6] == 1 ? 10 : 12;
    if (n_bytes < fixed)
        return moe_place_error(place, "npy array cut short: %zu bytes", n_bytes);
    if (bytes[6] < 1 || bytes[6] > 3)
        return moe_place_error(place, "npy version %u.%u; wants 1.0, 2.0 or 3.0", bytes[6],
                               bytes[7]);
    uint32_t length = (uint32_t)bytes[8] | (uint32_t)bytes[9] << 8;
    if (fixed == 12)
        length |= (uint32_t)bytes[10] << 16 | (uint32_t)bytes[11] << 24;
    if (length > NPY_MAX_HEADER)
        return moe_place_error(place, "npy header of %u bytes (at most 1 MiB)", length);
    if (length > n_bytes - fixed)
        return moe_place_error(place,
                               "npy array cut short: a header of %u bytes, but %zu are there",
                               length, n_bytes - fixed);
    *s = (npy_scan){.at = (const char *)bytes + fixed, .end = (const char *)bytes + fixed + length};
    return true;
}

bool
moe_npy_parse(moe_array *array, const void *bytes, size_t n_bytes, const moe_place *place)
{
    npy_scan s = {0};
    npy_header header = {0};
    if (!npy_header_of(bytes, n_bytes, place, &s))
        return false;
    *array = (moe_array){.name = place->part ? place->part : "", .data = (const uint8_t *)s.end};
    if (!npy_dict(&s, &header, array) && !header.structured)
        return moe_place_error(place, "npy header: %s", s.why);
    if (header.structured || !npy_type(header.descr, array))
        return npy_refuse_type(place, &header);
    uint64_t there = n_bytes - (size_t)(array->data - (const uint8_t *)bytes), wanted = 0;
    bool fits = moe_array_pack(array, header.fortran, there, &wanted);
    g_autofree char *text = moe_array_text(array);
    if (!fits && wanted <= there)
        return moe_place_error(place, "%s has more bytes than a file can", text);
    if (!fits)
        return moe_place_error(place,
                               "npy array cut short: %s takes %" G_GUINT64_FORMAT
                               " bytes, but %" G_GUINT64_FORMAT " are there; write it again",
                               text, wanted, there);
    if (wanted < there)
        return moe_place_error(place,
                               "%" G_GUINT64_FORMAT " bytes behind the array %s; one array per "
                               "file, or use numpy.savez",
                               there - wanted, text);
    return true;
}
