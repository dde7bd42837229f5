#include "sim/base/diag.h"

#include <string.h>

enum { SUGGEST_LONGEST = 64, SUGGEST_DISTANCE = 3 };

/* Damerau-Levenshtein distance (optimal string alignment: no substring is edited twice) of words
 * of at most SUGGEST_LONGEST bytes. */
static int
suggest_distance(const char *a, size_t n, const char *b, size_t m)
{
    int rows[3][SUGGEST_LONGEST + 1];
    int *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int *oldest = before;
        before = above;
        above = row;
        row = oldest;
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = MIN(best, MIN(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = MIN(best, before[j - 2] + 1);
            row[j] = best;
        }
    }
    return row[m];
}

const char *
moe_suggest(const char *word, const char *const *candidates, size_t n)
{
    size_t length = strlen(word);
    int limit = (int)MIN(length / 3, SUGGEST_DISTANCE);
    const char *best = NULL;
    if (length > SUGGEST_LONGEST)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t other = strlen(candidates[i]);
        if (other > SUGGEST_LONGEST)
            continue;
        int distance = suggest_distance(word, length, candidates[i], other);
        if (distance > limit)
            continue;
        best = candidates[i];
        limit = distance - 1;
    }
    return best;
}
