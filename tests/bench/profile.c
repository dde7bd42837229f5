/* Decoding of raw logs: records a second. bench_profile FOLDER [STEPS]: a log of so many steps of
 * 32 layers is written to FOLDER/1.raw, decoded to FOLDER/1.db, and both are left there. */
#include "profiler/profile.h"
#include "tests/rawlog.h"

#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    rawlog_config config = {.pid = 1,
                            .layers = 32,
                            .steps = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1000,
                            .kernels = 3,
                            .tell_tokens = true,
                            .weights = true};
    g_autoptr(GError) error = NULL;
    g_autoptr(GByteArray) log = rawlog_of(&config);
    g_autofree char *raw = g_build_filename(argv[1], "1.raw", NULL);
    g_autofree char *db = g_build_filename(argv[1], "1.db", NULL);
    moe_profile_summary summary;
    if (!g_file_set_contents(raw, (const char *)log->data, log->len, &error))
        return 3;
    gint64 start = g_get_monotonic_time();
    if (!moe_profile_decode(argv[1], db, NULL, &summary, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 3;
    }
    double seconds = (double)(g_get_monotonic_time() - start) * 1e-6;
    printf("%llu activity records, %llu ranges, %.1f MB in %.2f s: %.0f records/s\n",
           (unsigned long long)summary.records, (unsigned long long)summary.ranges,
           (double)log->len * 1e-6, seconds, (double)(summary.records + summary.ranges) / seconds);
    return 0;
}
