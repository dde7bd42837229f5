/* Machines and kernel libraries, found by the names that measured tables give them. */
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

/* Words that both have, model numbers above all; 0: none of these. Machines called a server come
 * before others with the same device. */
static int
likeness(const GPtrArray *device, const char *preset)
{
    g_autoptr(GPtrArray) words = words_of(preset);
    int score = 0, extra = 0;
    for (guint i = 0; i < words->len; i++) {
        const char *word = g_ptr_array_index(words, i);
        if (has_word(device, word))
            score += is_model_number(word) ? 100 : 5;
        else
            extra++;
    }
    if (score < 100)
        return 0;
    return score + (g_str_has_prefix(preset, "server") ? 3 : 0) - extra;
}

char *
moe_device_preset(const char *device)
{
    g_auto(GStrv) presets = moe_data_presets("hw/presets");
    g_autofree char *spaced = g_strdelimit(g_strdup(device), "_-/", ' ');
    g_autoptr(GPtrArray) words = words_of(spaced);
    const char *best = NULL;
    int most = 0;
    for (size_t i = 0; presets && presets[i]; i++) {
        if (!strcmp(presets[i], device))
            return g_strdup(device);
        int score = likeness(words, presets[i]);
        if (score > most) {
            most = score;
            best = presets[i];
        }
    }
    return g_strdup(best);
}

char *
moe_framework_kernels(const char *framework, const char *version)
{
    g_auto(GStrv) names = moe_data_presets("hw/kernels");
    g_autofree char *prefix = g_strdup_printf("%s-", framework);
    const char *last = NULL;
    for (size_t i = 0; names && names[i]; i++) {
        if (!strcmp(names[i], framework))
            last = names[i];
        if (!g_str_has_prefix(names[i], prefix))
            continue;
        last = names[i];
        if (g_str_has_prefix(version, names[i] + strlen(prefix)))
            return g_strdup(names[i]);
    }
    return g_strdup(last);
}
