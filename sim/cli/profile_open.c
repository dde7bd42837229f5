#include "sim/cli/profile_open.h"

#include "sim/cli/command.h"
#include "sim/cli/output.h"

#define LOSS_ALLOWED 0.01

moe_recording *
moe_profile_open(const char *path, bool allow_loss, int *code)
{
    GError *error = NULL;
    g_autoptr(moe_recording) recording = moe_recording_open(path, &error);
    g_autofree char *what = NULL;
    *code = MOE_EXIT_OK;
    if (!recording) {
        *code = moe_say_error(error);
        return NULL;
    }
    double lost = moe_recording_lost(recording, &what);
    if (lost > LOSS_ALLOWED && !allow_loss) {
        moe_say("%s: %.1f %% were lost (%s), which makes its sums wrong; --allow-loss takes it",
                path, 100 * lost, what);
        *code = MOE_EXIT_INPUT;
        return NULL;
    }
    if (lost > 0)
        moe_say("note: %s: %.2f %% were lost (%s)", path, 100 * lost, what);
    return g_steal_pointer(&recording);
}
