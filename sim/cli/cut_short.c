#include "sim/cli/cut_short.h"

#include "sim/cli/command.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static const char *cut_short_what;

/* Only calls that are safe in a handler. Bus errors of other reasons (broken memory, a kill) stay
 * what they are: the signal comes again when the handler returns. */
static void
cut_short_caught(int number, siginfo_t *info, void *context)
{
    (void)context;
    static const char before[] = "moesim: ", after[] = " was cut short while it was read\n";
    if (info->si_code != BUS_ADRERR) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    const char *what = cut_short_what;
    if (write(STDERR_FILENO, before, sizeof before - 1) < 0 ||
        write(STDERR_FILENO, what, strlen(what)) < 0 ||
        write(STDERR_FILENO, after, sizeof after - 1) < 0)
        _exit(MOE_EXIT_ENVIRONMENT);
    _exit(MOE_EXIT_ENVIRONMENT);
}

void
moe_cut_short(const char *what)
{
    struct sigaction action = {.sa_sigaction = cut_short_caught, .sa_flags = SA_SIGINFO};
    cut_short_what = what;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}
