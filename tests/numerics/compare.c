/* numerics_compare FOLDER GOLDEN: the execution core on a checkpoint folder against what
 * transformers said of it (golden.py). Exit code 0: within the tolerances; 1: not; 2: unreadable.
 */
#include "tests/numerics/judge.h"

#include <stdio.h>

static bool
compare(const moe_weights *weights, const golden *g, bool exact)
{
    judgement all = {0};

    for (follow_plan plan = 0; plan < FOLLOW_PLANS; plan++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(follow) f = follow_run(weights, g, plan, &(follow_how){.exact = exact}, &error);
        if (!f) {
            printf("%s\n", error->message);
            return false;
        }
        judgement j = judge(f, weights);
        judge_join(&all, &j);
        if (!judge_good(&j))
            judge_print(follow_plan_names[plan], &j);
    }
    judge_print(exact ? "exact" : "fast", &all);
    return judge_good(&all);
}

int
main(int argc, char **argv)
{
    g_autoptr(moe_diag) diag = moe_diag_new();
    g_autoptr(GError) error = NULL;
    golden g;

    if (argc != 3) {
        fprintf(stderr, "usage: numerics_compare FOLDER GOLDEN\n");
        return 2;
    }
    if (!golden_open(&g, argv[2]))
        return 2;
    g_autoptr(moe_weights_set) set = moe_weights_open(argv[1], diag, &error);
    if (!set) {
        g_autofree char *text = moe_diag_render(diag);
        fprintf(stderr, "%s\n", error ? error->message : text);
        golden_close(&g);
        return 2;
    }
    bool fast = compare(moe_weights_get(set), &g, false);
    bool good = compare(moe_weights_get(set), &g, true) && fast;
    printf("\n");
    golden_close(&g);
    return good ? 0 : 1;
}
