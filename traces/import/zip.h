/* A zip archive in memory, as numpy.savez and savez_compressed write it: members stored or
 * deflated, zip64 or not. The archive is hostile until parsed. The directory is believed only
 * where the members' own headers agree; members neither overlap each other nor the directory; and
 * what a member says that it unpacks to is bounded before a byte is unpacked: at most 256 times
 * its packed size (above 1 MiB), at most 64 GiB for the archive. Format: APPNOTE.TXT of
 * PKWARE, 6.3. */
#ifndef MOE_TRACES_IMPORT_ZIP_H
#define MOE_TRACES_IMPORT_ZIP_H

#include "traces/import/mapped.h"
#include "traces/import/place.h"

#define MOE_ZIP_MAX_RATIO 256u
#define MOE_ZIP_FREE_BYTES (1u << 20) /* may unpack at any ratio */
#define MOE_ZIP_MAX_BYTES (UINT64_C(64) << 30)
#define MOE_ZIP_MAX_MEMBERS (1u << 20)

typedef struct moe_zip_member {
    char *name;
    const uint8_t *packed; /* in the archive's bytes */
    uint64_t packed_bytes, bytes;
    uint32_t crc;
    bool deflated;
} moe_zip_member;

typedef struct moe_zip {
    moe_zip_member *members; /* in order of the directory */
    size_t n_members;
} moe_zip;

/* Whether the bytes begin as an archive does that has a member. */
bool moe_zip_is(const void *bytes, size_t n_bytes);
/* Reads the directory into *zip, to be cleared in any case; false after a message. The bytes must
 * outlive it. */
bool moe_zip_open(moe_zip *zip, const void *bytes, size_t n_bytes, const moe_place *place);
void moe_zip_clear(moe_zip *zip);
/* A member's content: where it stands if it is stored, else unpacked into `space` (a temporary file
 * in `folder`, see moe_scratch_open), which is then the caller's to close (zeroed otherwise). Size
 * and checksum are compared. False after a message (at `place`) or with `error`. */
bool moe_zip_read(const moe_zip_member *member, const moe_place *place, const char *folder,
                  moe_mapped *space, const uint8_t **bytes, GError **error);

#endif
