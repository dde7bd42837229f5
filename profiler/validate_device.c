/* Machines, found by the names that measured tables give them. */
#include "profiler/validate.h"

#include "sim/base/data.h"

#include <math.h>
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

static const moe_hardware *
machine_of(const moe_machines *m, size_t i)
{
    const moe_hardware_set *set = g_ptr_array_index(m->sets, i);
    return set ? moe_hardware_get(set) : NULL;
}

/* What a preset says of its device goes before what names have in common. */
static int
score_of(const moe_machines *m, size_t i, const char *device, const GPtrArray *words, bool network)
{
    const moe_hardware *hw = machine_of(m, i);
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

/* ---- accelerators that are the same ---- */

static bool
about(double a, double b)
{
    return fabs(a - b) <= 0.02 * fmax(a, b);
}

/* As many processors, as fast a memory: the same accelerator, whatever stands around it. */
static bool
is_alike(const moe_hardware *a, const moe_hardware *b)
{
    const moe_device *x = a->devices, *y = b->devices;
    return x->sms == y->sms && about(x->peak.bf16, y->peak.bf16) &&
           about(a->places[x->place].read_bytes_per_s, b->places[y->place].read_bytes_per_s);
}

/* Whether all that a name says is said by another, too, makers and sockets aside. */
static bool
says_no_more(const GPtrArray *device, const char *other)
{
    static const char *const common[] = {"nvidia", "amd", "instinct", "geforce", "sxm"};
    g_autoptr(GPtrArray) words = words_of(other);
    bool model = false;
    for (guint i = 0; i < device->len; i++) {
        const char *word = g_ptr_array_index(device, i);
        bool said = has_word(words, word);
        for (size_t c = 0; c < MOE_COUNT(common) && !said; c++)
            said = !strcmp(word, common[c]);
        if (!said)
            return false;
        model = model || strpbrk(word, "0123456789") != NULL;
    }
    return model;
}

/* By a name that the machine says of its device, or by the machine's own. */
static bool
is_called(const moe_hardware *hw, const char *preset, const char *device)
{
    g_autofree char *spaced = g_strdelimit(g_strdup(device), "_-/", ' ');
    g_autoptr(GPtrArray) words = words_of(spaced);
    const char *names = hw->devices->matches ? hw->devices->matches : "";
    g_auto(GStrv) each = g_strsplit(names, "|", -1);
    if (moe_device_matches(hw->devices, device) || says_no_more(words, preset))
        return true;
    for (size_t i = 0; each[i]; i++)
        if (says_no_more(words, each[i]))
            return true;
    return false;
}

bool
moe_machines_has(const moe_machines *m, const char *preset, const char *device)
{
    const moe_hardware *of = NULL;
    for (size_t i = 0; m->names && m->names[i]; i++)
        if (!strcmp(m->names[i], preset))
            of = machine_of(m, i);
    for (size_t i = 0; of && m->names[i]; i++) {
        const moe_hardware *hw = machine_of(m, i);
        if (hw && is_alike(hw, of) && is_called(hw, m->names[i], device))
            return true;
    }
    return false;
}

/* ---- the most like ---- */

/* Cards have no switch between them: "NVIDIA H100 PCIe", "NVIDIA H100 NVL". */
static bool
is_card(const GPtrArray *words)
{
    return has_word(words, "pcie") || has_word(words, "nvl");
}

/* The machine whose accelerators talk through the host, with the fastest ports; NULL: none. */
static const char *
host_network(const moe_machines *m)
{
    const char *best = NULL;
    double most = 0;
    for (size_t i = 0; m->names && m->names[i]; i++) {
        const moe_hardware *hw = machine_of(m, i);
        const moe_level *level = hw && hw->network.n_levels ? hw->network.levels : NULL;
        if (level && level->kind == MOE_LEVEL_HOST && level->bytes_per_s > most) {
            best = m->names[i];
            most = level->bytes_per_s;
        }
    }
    return best;
}

static const char *
most_like(const moe_machines *m, const char *device, const GPtrArray *words, bool network)
{
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

/* ---- the generation before, or after ---- */

/* "b300" is 300 of what is otherwise "b" and ""; 0: no such model number. Numbers of fewer digits
 * (A30, A40) tell devices apart that have little in common. */
static double
series_number(const char *word, size_t *letters, size_t *digits)
{
    *letters = strcspn(word, "0123456789");
    *digits = strspn(word + *letters, "0123456789");
    return *letters && *digits >= 3 ? g_ascii_strtod(word + *letters, NULL) : 0;
}

/* How many times apart two models of one series are; 0: they are of none. */
static double
apart(const char *a, const char *b)
{
    size_t letters[2], digits[2];
    double x = series_number(a, &letters[0], &digits[0]);
    double y = series_number(b, &letters[1], &digits[1]);
    if (!(x > 0 && y > 0) || letters[0] != letters[1] || digits[0] != digits[1] ||
        strncmp(a, b, letters[0]) != 0 ||
        strcmp(a + letters[0] + digits[0], b + letters[1] + digits[1]) != 0)
        return 0;
    return fmax(x, y) / fmin(x, y);
}

/* The model of the same series that is nearest, of those that machines are called after; NULL:
 * there is none. Yours. */
static char *
sibling(const moe_machines *m, const GPtrArray *words)
{
    double least = 2;
    char *best = NULL;
    for (size_t i = 0; m->names && m->names[i]; i++) {
        g_autoptr(GPtrArray) names = words_of(m->names[i]);
        for (guint n = 0; n < names->len * words->len; n++) {
            const char *name = g_ptr_array_index(names, n / words->len);
            double far = apart(g_ptr_array_index(words, n % words->len), name);
            if (far <= 1 || far >= least)
                continue;
            least = far;
            g_free(best);
            best = g_strdup(name);
        }
    }
    return best;
}

static const char *
find(const moe_machines *m, const char *device, bool network)
{
    g_autofree char *spaced = g_strdelimit(g_strdup(device), "_-/", ' ');
    g_autoptr(GPtrArray) words = words_of(spaced);
    const char *best = most_like(m, device, words, network);
    if (!network || (best && (!is_card(words) || moe_machines_has(m, best, device))))
        return best;
    return most_like(m, device, words, false) ? host_network(m) : NULL;
}

const char *
moe_machines_find(const moe_machines *m, const char *device, bool network)
{
    g_autofree char *spaced = g_strdelimit(g_strdup(device), "_-/", ' ');
    g_autoptr(GPtrArray) words = words_of(spaced);
    const char *best = find(m, device, network);
    g_autofree char *other = best ? NULL : sibling(m, words);
    return other ? find(m, other, network) : best;
}
