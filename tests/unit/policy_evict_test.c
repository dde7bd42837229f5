/* Who leaves, by hand: short streams of letters and the victims each policy should choose. */
#include "tests/property/policy_drive.h"
#include "tests/test.h"

static const struct {
    const char *policy;
    uint32_t n_slots;
    const char *accesses, *victims;
} streams[] = {
    {"lru", 2, "abac", "b"},
    {"lru", 3, "abcabdacb", "cbd"},
    {"fifo", 2, "abac", "a"},
    {"fifo", 3, "abcabda", "ab"},
    {"lfu", 2, "aabcb", "bc"},
    {"lfu", 3, "abcabcd", "a"},     /* all twice: the first to get there */
    {"lfu", 3, "abcabcda", "ad"},   /* the count is forgotten on eviction */
    {"sieve", 3, "abcadef", "bcd"}, /* the hand goes on behind its last victim */
    {"sieve", 2, "ababc", "a"},     /* all visited: a full turn */
    {"sieve", 2, "abac", "b"},      /* then the hand starts at the tail again, */
    {"sieve", 2, "abacd", "ba"},    /* where a was spared once */
    {"s3fifo", 10, "abcdefghijk", "a"},
    {"s3fifo", 10, "abcdefghijaak", "b"}, /* a has proved itself */
    {"s3fifo", 10, "abcdefghijka", "ab"}, /* a comes back into the main queue, */
    {"s3fifo", 2, "abcad", "abc"},        /* where it outlives the small one */
    {"arc", 2, "abca", "ab"},             /* seen once only: T1's oldest, no ghosts */
    {"arc", 2, "aabcb", "ba"},            /* b was a ghost of T1: T1 grows, T2 gives way */
    {"belady", 2, "abcabc", "ba"},
    {"belady", 2, "abcb", "a"},     /* never is the farthest */
    {"static", 2, "aaabbcd", "bc"}, /* popularity is that of the stream itself */
};

static void
evicts_by_hand(void)
{
    for (size_t i = 0; i < MOE_COUNT(streams); i++) {
        policy_config policy = policy_config_new(MOE_POLICY_EVICT, streams[i].policy);
        const char *accesses = streams[i].accesses;
        uint32_t popularity[26] = {0};
        for (const char *c = accesses; *c; c++)
            popularity[*c - 'a']++;
        drive d = drive_open(&policy, 26, streams[i].n_slots, popularity);
        char victims[32] = "";
        size_t n = 0;
        for (const char *c = accesses; *c; c++) {
            const char *next = strchr(c + 1, *c);
            uint32_t next_use = next ? (uint32_t)(next - accesses) : MOE_NONE;
            uint32_t victim = drive_access(&d, (uint32_t)(*c - 'a'), next_use);
            if (victim != MOE_NONE)
                victims[n++] = (char)('a' + victim);
        }
        MOE_CHECK(!strcmp(victims, streams[i].victims), "case %zu, %s, %s: victims %s, expected %s",
                  i, streams[i].policy, accesses, victims, streams[i].victims);
        drive_close(&d);
        policy_config_free(&policy);
    }
}

/* Barred: the oldest two of four; who is next in the policy's own order leaves. */
static void
walks_past_the_barred(void)
{
    static const struct {
        const char *policy;
        char victim;
    } rows[] = {{"lru", 'c'}, {"fifo", 'c'},   {"lfu", 'c'},    {"sieve", 'c'},
                {"arc", 'c'}, {"s3fifo", 'c'}, {"belady", 'd'}, {"static", 'd'}};
    for (size_t i = 0; i < MOE_COUNT(rows); i++) {
        policy_config policy = policy_config_new(MOE_POLICY_EVICT, rows[i].policy);
        uint32_t popularity[5] = {5, 4, 3, 2, 1};
        uint16_t pins[5] = {1, 2, 0, 0, 0};
        drive d = drive_open(&policy, 5, 4, popularity);
        for (uint32_t o = 0; o < 4; o++)
            drive_access(&d, o, 10 + o);
        const moe_evict_bar bar = {.pins = pins};
        uint32_t victim = drive_evict(&d, 4, &bar);
        MOE_CHECK(victim == (uint32_t)(rows[i].victim - 'a'), "%s evicts %u", rows[i].policy,
                  victim);
        drive_close(&d);
        policy_config_free(&policy);
    }
}

MOE_TESTS({"by hand", evicts_by_hand}, {"barred", walks_past_the_barred})
