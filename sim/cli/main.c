#include "profiler/cpu/blas.h"
#include "profiler/gpu.h"
#include "profiler/ranges.h"
#include "sim/cli/command.h"
#include "sim/cli/cut_short.h"
#include "sim/cli/output.h"
#include "sim/machine/scenario.h"
#include "sim/policy/policy.h"

#include <gio/gio.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* clang-format off */
const moe_command *const moe_commands[] = {
    &moe_run_command,
    &moe_check_command,
    &moe_explain_command,
    &moe_plot_command,
    &moe_capture_command,
    &moe_profile_command,
    &moe_counters_command,
    &moe_calibrate_command,
    &moe_validate_command,
    &moe_probe_command,
    &moe_trace_command,
    &moe_list_command,
    &moe_help_command,
    &moe_schema_command,
    NULL,
};
/* clang-format on */

static void
print_help(void)
{
    moe_out("moesim simulates and profiles Mixture-of-Experts systems: it replays real routing\n"
            "against hardware that you may not own, and says what each policy costs.\n\n"
            "usage: moesim COMMAND [options] [FILE…]\n\n");
    for (size_t i = 0; moe_commands[i]; i++)
        moe_out("  %-10s%s\n", moe_commands[i]->name, moe_commands[i]->summary);
    moe_out("\n  -h, --help     Show this help; `moesim COMMAND --help` that of a command.\n"
            "  -V, --version  Version, and the optional parts that were found.\n"
            "\n"
            "Begin with:\n\n"
            "  moesim run scenarios/quickstart.yaml\n"
            "  moesim explain scenarios/quickstart.yaml --step 70\n"
            "  moesim help experts.cache\n");
}

/* The CUDA backend is asked for a device only when it is to compute. */
static void
print_cuda(void)
{
    g_autofree char *library = moe_gpu_library();
    bool there = g_file_test(library, G_FILE_TEST_EXISTS);
    moe_out("cuda       %s\n",
            there ? library : "not built (`capture --backend cuda` is not here)");
    moe_out("nvtx       %s\n", moe_ranges_built() ? "stages are ranges of the domain moesim"
                                                  : "not built in (stages are no NVTX ranges)");
}

static void
print_version(void)
{
    g_autofree char *gnuplot = g_find_program_in_path("gnuplot");
    const char *blas = moe_blas_name();
    moe_out("moesim " MOE_VERSION "\n");
    moe_out("semantics  %d\n", MOE_SEMANTICS);
    moe_out("glib       %u.%u.%u\n", glib_major_version, glib_minor_version, glib_micro_version);
    moe_out("sqlite     %s\n", sqlite3_libversion());
    moe_out("zlib       %s\n", zlibVersion());
    moe_out("zstd       %s\n", ZSTD_versionString());
    moe_out("blas       %s\n", blas ? blas : "not found (plain C does its work)");
    print_cuda();
    moe_out("gnuplot    %s\n", gnuplot ? gnuplot : "not found (no figures are drawn)");
}

static void
ignore_signal(int signal)
{
    (void)signal;
}

/* Writing to a pipe without a reader, and beyond a file size limit, are errors like others. By a
 * handler: programs that are started here get what this one got, for exec takes handlers away. */
static void
ignore_signals(void)
{
    static const int ignored[] = {SIGPIPE, SIGXFSZ};
    struct sigaction ignore = {.sa_handler = ignore_signal, .sa_flags = SA_RESTART}, got;
    sigemptyset(&ignore.sa_mask);
    for (size_t i = 0; i < MOE_COUNT(ignored); i++)
        if (sigaction(ignored[i], NULL, &got) == 0 && got.sa_handler == SIG_DFL)
            sigaction(ignored[i], &ignore, NULL);
}

static int
dispatch(int argc, char **argv)
{
    if (argc < 2)
        return moe_say_usage("moesim", "wants a command, such as: moesim run FILE.yaml");
    const char *first = argv[1];
    if (!strcmp(first, "--help") || !strcmp(first, "-h")) {
        print_help();
        return MOE_EXIT_OK;
    }
    if (!strcmp(first, "--version") || !strcmp(first, "-V")) {
        print_version();
        return MOE_EXIT_OK;
    }
    if (first[0] == '-')
        return moe_say_usage("moesim", "unknown option '%s'", first);
    const moe_command *command = moe_command_find(moe_commands, "moesim", first);
    if (!command)
        return MOE_EXIT_USAGE;
    g_autofree char *path = g_strconcat("moesim ", command->name, NULL);
    return moe_command_main(command, path, argc - 2, (const char *const *)argv + 2);
}

int
main(int argc, char **argv)
{
    ignore_signals();
    moe_cut_short("an input file");
    moe_policy_check_all();
    return moe_out_finish(dispatch(argc, argv));
}
