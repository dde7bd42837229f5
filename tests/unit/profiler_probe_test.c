/* What a machine is said to record, from what its driver and CUPTI say. */
#include "profiler/probe.h"

#include "profiler/profile.h"
#include "tests/test.h"

#define DRIVER "cuda=0\ndriver_version=13000\ndevices=1\ndevice=NVIDIA H100, sm_90, 79.6 GiB\n"
#define CUPTI "cupti=/usr/lib/libcupti.so.13\ncupti_version=130001\n"

static const struct {
    const char *said;
    const char *obstacle; /* NULL: kernels can be recorded */
    const char *explained;
} machines[] = {
    {DRIVER CUPTI "subscribe=0\n", NULL, ""},
    {"cuda=absent\ncuda_says=libcuda.so.1: cannot open\n" CUPTI, "no_driver",
     "there is no NVIDIA driver here (libcuda.so.1 was not found)"},
    {"", "no_driver", "there is no NVIDIA driver here (libcuda.so.1 was not found)"},
    {"cuda=34\n" CUPTI, "stub_driver",
     "libcuda.so.1 is the toolkit's stub, not a driver: take the folder lib/stubs out of "
     "LD_LIBRARY_PATH"},
    {"cuda=100\ndriver_version=13000\n" CUPTI, "no_driver",
     "the driver sees no device (CUDA_VISIBLE_DEVICES?)"},
    {"cuda=0\ndriver_version=13000\ndevices=0\n" CUPTI, "no_driver",
     "the driver sees no device (CUDA_VISIBLE_DEVICES?)"},
    {"cuda=803\ndriver_version=13000\n" CUPTI, "no_driver",
     "the driver does not start: cuInit says 803"},
    {DRIVER, "cupti_absent",
     "libcupti was not found: install CUPTI of the CUDA toolkit, or name it in MOESIM_CUPTI_LIB"},
    {"cuda=0\ndriver_version=12080\ndevices=1\n" CUPTI "subscribe=0\n", "old_driver",
     "the driver is of CUDA 12.8, older than CUPTI's 13.0: update the driver, or name an older "
     "CUPTI in MOESIM_CUPTI_LIB"},
    /* Within a major version a driver serves newer toolkits; a newer driver serves older ones. */
    {DRIVER "cupti=a\ncupti_version=130200\nsubscribe=0\n", NULL, ""},
    {DRIVER "cupti=a\ncupti_version=26\nsubscribe=0\n", NULL, ""},
    {"cuda=0\ndriver_version=11080\ndevices=1\ncupti=a\ncupti_version=26\nsubscribe=0\n",
     "old_driver",
     "the driver is of CUDA 11.8, older than CUPTI's 12.0: update the driver, or name an older "
     "CUPTI in MOESIM_CUPTI_LIB"},
    {DRIVER CUPTI "subscribe=39\nsubscriber=CUPTI for Nsight Systems\n", "cupti_busy",
     "CUPTI is held by 'CUPTI for Nsight Systems': only one tool can have it"},
    {DRIVER CUPTI "subscribe=39\n", "cupti_busy",
     "CUPTI is held by 'another tool': only one tool can have it"},
    {DRIVER CUPTI "subscribe=15\n", "cupti_failed", "CUPTI does not start: cuptiSubscribe says 15"},
};

static void
finds_obstacles(void)
{
    for (size_t i = 0; i < MOE_COUNT(machines); i++) {
        g_autoptr(moe_probe) probe = moe_probe_read(machines[i].said);
        const char *obstacle = moe_probe_obstacle(probe);
        g_autofree char *explained = moe_probe_explain(probe);
        MOE_CHECK(g_strcmp0(obstacle, machines[i].obstacle) == 0, "%zu: '%s', not '%s'", i,
                  obstacle ? obstacle : "none",
                  machines[i].obstacle ? machines[i].obstacle : "none");
        MOE_CHECK(!strcmp(explained, machines[i].explained), "%zu: '%s'", i, explained);
        MOE_CHECK(!obstacle || moe_profile_code_find(obstacle), "%zu: no code '%s'", i, obstacle);
    }
}

/* Whatever a library prints: numbers beyond all bounds, lines without a sign, control characters.
 */
static void
reads_anything(void)
{
    g_autoptr(moe_probe) probe =
        moe_probe_read("=\nno sign\ndevices=99999999999999999999\ncupti_version=-\n=x\n"
                       "driver_version=4294967296\nsubscriber=a\x1b[31mb\xff\nsubscriber=a\x01\n"
                       "unknown=1\ncuda=0\n");
    CU_ASSERT_EQUAL(probe->devices, 0);
    CU_ASSERT_EQUAL(probe->driver_version, 0);
    CU_ASSERT_EQUAL(probe->driver, MOE_DRIVER_NO_DEVICE);
    MOE_CHECK(!strcmp(probe->subscriber, "a\xe2\x90\x81"), "'%s'", probe->subscriber);
}

static void
reads_permission(void)
{
    static const char forbidden[] = "ModifyDeviceFiles: 1\nRmProfilingAdminOnly: 1\nX: 0\n";
    CU_ASSERT_EQUAL(moe_probe_permission(NULL, false), MOE_COUNTERS_UNKNOWN);
    CU_ASSERT_EQUAL(moe_probe_permission("Mobile: 1\n", true), MOE_COUNTERS_UNKNOWN);
    CU_ASSERT_EQUAL(moe_probe_permission(forbidden, false), MOE_COUNTERS_FORBIDDEN);
    CU_ASSERT_EQUAL(moe_probe_permission(forbidden, true), MOE_COUNTERS_ADMIN);
    CU_ASSERT_EQUAL(moe_probe_permission("RmProfilingAdminOnly: 0\n", false), MOE_COUNTERS_OPEN);
    CU_ASSERT_PTR_NOT_NULL(strstr(moe_profile_code_find("counters_forbidden")->advice,
                                  "NVreg_RestrictProfilingToAdminUsers=0"));
}

MOE_TESTS({"obstacles", finds_obstacles}, {"anything", reads_anything},
          {"permission", reads_permission})
