/* Machines, found by the names that measured tables give them. */
#include "profiler/validate.h"

#include "sim/base/data.h"

#include <string.h>

/* Words of letters and digits, in lower case; "80gb" and such say nothing of the kind of device. */
static GPtrArray *
words_of(const char *name)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *lower = g_ascii_strdown(name, -1);
    for (char *at = lower; *at;) {
        size_t n = 0;
        while (g_ascii_isalnum(at[n]))
            n++;
        if (n)
            g_ptr_array_add(words, g_strndup(at, n));
        at += n ? n : 1;
    }
    return words;
}

static bool
has_word(const GPtrArray *words, const char *word)
{
    for (guint i = 0; i < words->len; i++)
        if (!strcmp(g_ptr_array_index(words, i), word))
            return true;
    return false;
}

static bool
is_model_number(const char *word)
{
    return strpbrk(word, "0123456789") && strpbrk(word, "abcdefghijklmnopqrstuvwxyz") &&
           !g_str_has_suffix(word, "gb");
}

/* Words that both have, model numbers above all; 0: none of these. */
static int
likeness(const GPtrArray *device, const char *name)
{
    g_autoptr(GPtrArray) words = words_of(name);
    int score = 0, extra = 0;
    for (guint i = 0; i < words->len; i++) {
        const char *word = g_ptr_array_index(words, i);
        if (has_word(device, word))
            score += is_model_number(word) ? 100 : 5;
        else
            extra++;
    }
    return score < 100 ? 0 : score - extra;
}

struct moe_machines {
    char **names;
    GPtrArray *sets; /* moe_hardware_set *, as many */
};

moe_machines *
moe_machines_load(void)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    moe_machines *m = g_new0(moe_machines, 1);
    m->names = moe_data_presets("hw/presets");
    m->sets = g_ptr_array_new_with_free_func((GDestroyNotify)moe_hardware_free);
    for (size_t i = 0; m->names && m->names[i]; i++)
        g_ptr_array_add(m->sets, moe_hardware_load(m->names[i], NULL, (moe_loc){0}, diag, NULL));
    return m;
}

void
moe_machines_free(moe_machines *m)
{
    if (!m)
        return;
    g_strfreev(m->names);
    g_ptr_array_unref(m->sets);
    g_free(m);
}

/* What a preset says of its device goes before what names have in common. */
static int
score_of(const moe_machines *m, size_t i, const char *device, const GPtrArray *words, bool network)
{
    const moe_hardware_set *set = g_ptr_array_index(m->sets, i);
    const moe_hardware *hw = set ? moe_hardware_get(set) : NULL;
    if (!hw || (network && !hw->network.n_levels))
        return 0;
    if (moe_device_matches(hw->devices, device))
        return 10000;
    int by_name = likeness(words, m->names[i]), by_device = likeness(words, hw->devices[0].name);
    int score = MAX(by_name, by_device);
    return score ? score + (g_str_has_prefix(m->names[i], "server") ? 20 : 0) +
                       (g_str_has_prefix(m->names[i], "dgx") ? network ? 30 : 10 : 0)
                 : 0;
}

const char *
moe_machines_find(const moe_machines *m, const char *device, bool network)
{
    g_autofree char *spaced = g_strdelimit(g_strdup(device), "_-/", ' ');
    g_autoptr(GPtrArray) words = words_of(spaced);
    const char *best = NULL;
    int most = 0;
    for (size_t i = 0; m->names && m->names[i]; i++) {
        int score = score_of(m, i, device, words, network);
        if (score > most) {
            most = score;
            best = m->names[i];
        }
    }
    return best;
}
