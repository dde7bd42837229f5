#include "traces/import/zip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define ZIP_END 0x06054B50u      /* end of the directory */
#define ZIP_END64 0x06064B50u    /* the same for zip64 */
#define ZIP_LOCATE64 0x07064B50u /* where that is */
#define ZIP_ENTRY 0x02014B50u    /* an entry of the directory */
#define ZIP_LOCAL 0x04034B50u    /* before a member's data */
#define ZIP_END_BYTES 22u
#define ZIP_ENTRY_BYTES 46u
#define ZIP_LOCAL_BYTES 30u
#define ZIP_CHUNK (256u << 10)

static uint32_t
zip_16(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

static uint32_t
zip_32(const uint8_t *at)
{
    return zip_16(at) | zip_16(at + 2) << 16;
}

static uint64_t
zip_64(const uint8_t *at)
{
    return zip_32(at) | (uint64_t)zip_32(at + 4) << 32;
}

typedef struct zip_reader {
    const uint8_t *bytes;
    uint64_t n_bytes;
    uint64_t directory, directory_bytes, n_entries;
    const moe_place *place;
} zip_reader;

bool
moe_zip_is(const void *bytes, size_t n_bytes)
{
    return n_bytes >= 4 && zip_32(bytes) == ZIP_LOCAL;
}

/* ---- the directory's place ---- */

static bool
zip_end64(zip_reader *r, uint64_t end)
{
    if (end < 20 || zip_32(r->bytes + end - 20) != ZIP_LOCATE64)
        return true;
    uint64_t at = zip_64(r->bytes + end - 12);
    if (at > r->n_bytes || r->n_bytes - at < 56 || zip_32(r->bytes + at) != ZIP_END64)
        return moe_place_error(r->place, "zip64 archive whose directory cannot be found; damaged");
    r->n_entries = zip_64(r->bytes + at + 32);
    r->directory_bytes = zip_64(r->bytes + at + 40);
    r->directory = zip_64(r->bytes + at + 48);
    return true;
}

static bool
zip_end(zip_reader *r)
{
    uint64_t lowest = r->n_bytes > 65535 + ZIP_END_BYTES ? r->n_bytes - 65535 - ZIP_END_BYTES : 0;
    uint64_t at = r->n_bytes < ZIP_END_BYTES ? UINT64_MAX : r->n_bytes - ZIP_END_BYTES;
    while (at != UINT64_MAX && (zip_32(r->bytes + at) != ZIP_END ||
                                at + ZIP_END_BYTES + zip_16(r->bytes + at + 20) != r->n_bytes))
        at = at == lowest ? UINT64_MAX : at - 1;
    if (at == UINT64_MAX)
        return moe_place_error(r->place, "archive without a directory at its end (cut short?); "
                                         "write it again");
    r->n_entries = zip_16(r->bytes + at + 10);
    r->directory_bytes = zip_32(r->bytes + at + 12);
    r->directory = zip_32(r->bytes + at + 16);
    if (!zip_end64(r, at))
        return false;
    if (r->directory > at || r->directory_bytes > at - r->directory)
        return moe_place_error(r->place, "archive whose directory lies outside of it; damaged");
    if (r->n_entries > MOE_ZIP_MAX_MEMBERS || r->n_entries * ZIP_ENTRY_BYTES > r->directory_bytes)
        return moe_place_error(
            r->place, "archive that claims %" G_GUINT64_FORMAT " members; damaged", r->n_entries);
    return true;
}

/* ---- entries ---- */

typedef struct zip_entry {
    const uint8_t *at, *name, *extra;
    uint32_t name_bytes, extra_bytes;
    uint64_t local;
} zip_entry;

/* Sizes and place that do not fit in 32 bits stand in an extra field, in this order, each only if
 * needed. */
static bool
zip_extra64(const zip_entry *entry, moe_zip_member *m, uint64_t *local)
{
    uint64_t *const wanted[] = {&m->bytes, &m->packed_bytes, local};
    const uint8_t *at = entry->extra, *end = at + entry->extra_bytes;
    while (end - at >= 4 && zip_16(at) != 1)
        at += MIN((size_t)(end - at), 4u + zip_16(at + 2));
    if (end - at < 4)
        at = end;
    else
        end = MIN(end, at + 4 + zip_16(at + 2)), at += 4;
    for (size_t i = 0; i < MOE_COUNT(wanted); i++) {
        if (*wanted[i] != UINT32_MAX)
            continue;
        if (end - at < 8)
            return false;
        *wanted[i] = zip_64(at);
        at += 8;
    }
    return true;
}

/* Where the data of a member begins, by its own header. */
static bool
zip_local(zip_reader *r, const zip_entry *entry, moe_zip_member *m)
{
    bool inside = entry->local <= r->directory && r->directory - entry->local >= ZIP_LOCAL_BYTES;
    const uint8_t *at = r->bytes + (inside ? entry->local : 0);
    if (!inside || zip_32(at) != ZIP_LOCAL)
        return moe_place_error(
            r->place, "member %.100s: no member where the directory says; damaged", m->name);
    uint64_t head = ZIP_LOCAL_BYTES + (uint64_t)zip_16(at + 26) + zip_16(at + 28);
    uint64_t room = r->directory - entry->local;
    if (head > room || m->packed_bytes > room - head)
        return moe_place_error(
            r->place, "member %.100s: its data lies outside the archive; damaged", m->name);
    if (zip_16(at + 26) != entry->name_bytes ||
        memcmp(at + ZIP_LOCAL_BYTES, entry->name, entry->name_bytes) != 0)
        return moe_place_error(
            r->place, "member %.100s: has another name in its own header; damaged", m->name);
    m->packed = at + head;
    return true;
}

static bool
zip_bounded(const zip_reader *r, const moe_zip_member *m)
{
    if (!m->deflated && m->bytes != m->packed_bytes)
        return moe_place_error(r->place, "member %.100s: stored, but with two sizes; damaged",
                               m->name);
    if (m->bytes > MOE_ZIP_FREE_BYTES && m->bytes / MOE_ZIP_MAX_RATIO > m->packed_bytes)
        return moe_place_error(r->place,
                               "member %.100s: says that %" G_GUINT64_FORMAT
                               " bytes unpack to %" G_GUINT64_FORMAT
                               ", more than %u times as many; refused as a zip bomb (numpy.savez "
                               "writes it unpacked)",
                               m->name, m->packed_bytes, m->bytes, MOE_ZIP_MAX_RATIO);
    return true;
}

static bool
zip_entry_read(zip_reader *r, const uint8_t *at, const uint8_t *end, zip_entry *entry)
{
    if (end - at < (ptrdiff_t)ZIP_ENTRY_BYTES || zip_32(at) != ZIP_ENTRY)
        return moe_place_error(r->place, "archive with a damaged directory");
    *entry = (zip_entry){.at = at,
                         .name = at + ZIP_ENTRY_BYTES,
                         .name_bytes = zip_16(at + 28),
                         .extra_bytes = zip_16(at + 30)};
    if ((uint64_t)(end - entry->name) < entry->name_bytes + entry->extra_bytes + zip_16(at + 32))
        return moe_place_error(r->place, "archive with a damaged directory");
    entry->extra = entry->name + entry->name_bytes;
    return true;
}

static bool
zip_member(zip_reader *r, zip_entry *entry, moe_zip_member *m)
{
    const uint8_t *at = entry->at;
    uint32_t flags = zip_16(at + 8), method = zip_16(at + 10);
    m->name = g_strndup((const char *)entry->name, entry->name_bytes);
    m->crc = zip_32(at + 16);
    m->packed_bytes = zip_32(at + 20);
    m->bytes = zip_32(at + 24);
    m->deflated = method == 8;
    entry->local = zip_32(at + 42);
    if (strlen(m->name) != entry->name_bytes || !g_utf8_validate(m->name, -1, NULL))
        return moe_place_error(r->place, "archive with a member whose name is no text; damaged");
    if (flags & 1)
        return moe_place_error(r->place, "member %.100s: encrypted; unpack the archive first",
                               m->name);
    if (method != 0 && method != 8)
        return moe_place_error(r->place,
                               "member %.100s: packed by method %u; wants stored or deflated, as "
                               "numpy.savez and savez_compressed write",
                               m->name, method);
    if (!zip_extra64(entry, m, &entry->local))
        return moe_place_error(r->place, "member %.100s: zip64 sizes are missing; damaged",
                               m->name);
    return zip_local(r, entry, m) && zip_bounded(r, m);
}

/* ---- the whole ---- */

static int
zip_by_data(const void *a, const void *b)
{
    const moe_zip_member *x = *(const moe_zip_member *const *)a;
    const moe_zip_member *y = *(const moe_zip_member *const *)b;
    return (x->packed > y->packed) - (x->packed < y->packed);
}

static int
zip_by_name(const void *a, const void *b)
{
    return strcmp((*(const moe_zip_member *const *)a)->name,
                  (*(const moe_zip_member *const *)b)->name);
}

/* No two members share a byte or a name, and all together have a bound. */
static bool
zip_check(const zip_reader *r, const moe_zip *zip)
{
    g_autofree const moe_zip_member **order = g_new(const moe_zip_member *, zip->n_members + 1);
    uint64_t total = 0;
    for (size_t i = 0; i < zip->n_members; i++) {
        order[i] = &zip->members[i];
        total += order[i]->deflated ? MIN(order[i]->bytes, MOE_ZIP_MAX_BYTES) : 0;
        if (total > MOE_ZIP_MAX_BYTES)
            return moe_place_error(r->place, "archive that unpacks to more than 64 GiB; split it, "
                                             "or write it with numpy.savez");
    }
    qsort(order, zip->n_members, sizeof *order, zip_by_data);
    for (size_t i = 1; i < zip->n_members; i++)
        if (order[i]->packed < order[i - 1]->packed + order[i - 1]->packed_bytes +
                                   (order[i]->packed_bytes ? ZIP_LOCAL_BYTES : 0))
            return moe_place_error(r->place,
                                   "members %.100s and %.100s overlap; refused as a zip bomb",
                                   order[i - 1]->name, order[i]->name);
    qsort(order, zip->n_members, sizeof *order, zip_by_name);
    for (size_t i = 1; i < zip->n_members; i++)
        if (strcmp(order[i - 1]->name, order[i]->name) == 0)
            return moe_place_error(r->place, "member %.100s: twice in the archive", order[i]->name);
    return true;
}

bool
moe_zip_open(moe_zip *zip, const void *bytes, size_t n_bytes, const moe_place *place)
{
    zip_reader r = {.bytes = bytes, .n_bytes = n_bytes, .place = place};
    *zip = (moe_zip){0};
    if (!zip_end(&r))
        return false;
    zip->members = g_new0(moe_zip_member, r.n_entries + 1);
    const uint8_t *at = r.bytes + r.directory, *end = at + r.directory_bytes;
    for (uint64_t i = 0; i < r.n_entries; i++) {
        zip_entry entry = {0};
        if (!zip_entry_read(&r, at, end, &entry) ||
            !zip_member(&r, &entry, &zip->members[zip->n_members++]))
            return false;
        at = entry.extra + entry.extra_bytes + zip_16(at + 32);
    }
    return zip_check(&r, zip);
}

void
moe_zip_clear(moe_zip *zip)
{
    for (size_t i = 0; i < zip->n_members; i++)
        g_free(zip->members[i].name);
    g_free(zip->members);
    *zip = (moe_zip){0};
}

/* ---- unpacking ---- */

typedef struct zip_inflation {
    z_stream stream;
    const moe_zip_member *member;
    uint64_t fed; /* packed bytes given so far */
    uint8_t *chunk;
    moe_scratch scratch;
    uint32_t crc;
} zip_inflation;

/* Inflates to the end or one byte more than promised; Z_STREAM_END, or another code of zlib. */
static int
zip_inflate(zip_inflation *z, GError **error)
{
    int code = Z_OK;
    while (code == Z_OK && z->scratch.n_bytes <= z->member->bytes) {
        if (z->stream.avail_in == 0) {
            uint64_t left = z->member->packed_bytes - z->fed;
            z->stream.next_in = (Bytef *)(uintptr_t)(z->member->packed + z->fed);
            z->stream.avail_in = (uInt)MIN(left, 1u << 30);
            z->fed += z->stream.avail_in;
        }
        z->stream.next_out = z->chunk;
        z->stream.avail_out = ZIP_CHUNK;
        code = inflate(&z->stream, Z_NO_FLUSH);
        size_t n = ZIP_CHUNK - z->stream.avail_out;
        z->crc = (uint32_t)crc32(z->crc, z->chunk, (uInt)n);
        if (!moe_scratch_write(&z->scratch, z->chunk, n, error))
            return Z_ERRNO;
    }
    return code;
}

static bool
zip_unpack(const moe_zip_member *member, const moe_place *place, const char *folder,
           moe_mapped *space, GError **error)
{
    zip_inflation z = {.member = member, .crc = (uint32_t)crc32(0, NULL, 0)};
    if (!moe_scratch_open(&z.scratch, folder, error))
        return false;
    if (inflateInit2(&z.stream, -MAX_WBITS) != Z_OK) {
        moe_scratch_close(&z.scratch);
        return moe_place_error(place, "no memory to unpack it");
    }
    z.chunk = g_malloc(ZIP_CHUNK);
    int code = zip_inflate(&z, error);
    inflateEnd(&z.stream);
    g_free(z.chunk);
    bool ok = code == Z_STREAM_END && z.scratch.n_bytes == member->bytes;
    if (ok && z.crc == member->crc)
        return moe_scratch_map(&z.scratch, space, error);
    moe_scratch_close(&z.scratch);
    if (code == Z_ERRNO)
        return false;
    if (z.scratch.n_bytes > member->bytes)
        return moe_place_error(place,
                               "unpacks to more than the %" G_GUINT64_FORMAT
                               " bytes that the archive says; refused as a zip bomb",
                               member->bytes);
    return moe_place_error(place, "damaged: %s; write it again",
                           ok ? "its checksum differs" : "cannot be unpacked");
}

bool
moe_zip_read(const moe_zip_member *member, const moe_place *place, const char *folder,
             moe_mapped *space, const uint8_t **bytes, GError **error)
{
    *space = (moe_mapped){0};
    if (member->deflated) {
        if (!zip_unpack(member, place, folder, space, error))
            return false;
        *bytes = space->bytes;
        return true;
    }
    uint32_t crc = (uint32_t)crc32_z(crc32(0, NULL, 0), member->packed, member->packed_bytes);
    if (crc != member->crc)
        return moe_place_error(place, "damaged: its checksum differs; write it again");
    *bytes = member->packed;
    return true;
}
