#include "profiler/tables_aic.h"

#include <string.h>

enum { NAME_GPU, NAME_FAMILY, NAME_FRAMEWORK, NAME_VERSION, NAME_TABLE, NAME_PARTS };

bool
moe_aic_begin(moe_foreign *f)
{
    g_autofree char *stem = moe_foreign_stem(f);
    g_auto(GStrv) parts = g_strsplit(stem, "__", NAME_PARTS);
    bool named = g_strv_length(parts) == NAME_PARTS && g_utf8_validate(stem, -1, NULL);

    f->row.source = moe_measured_intern(f->table, "aiconfigurator");
    f->row.graph = true;
    if (!named)
        return true;
    if (f->at[AIC_DEVICE] < 0) {
        f->row.device = moe_measured_intern(f->table, parts[NAME_GPU]);
        moe_foreign_note(f, "no column says the device: '%s' by the file's name", f->row.device);
    }
    if (f->at[AIC_FRAMEWORK] < 0)
        f->row.framework = moe_measured_intern(f->table, parts[NAME_FRAMEWORK]);
    if (f->at[AIC_VERSION] < 0)
        f->row.version = moe_measured_intern(f->table, parts[NAME_VERSION]);
    return true;
}

void
moe_aic_row(moe_foreign *f)
{
    if (moe_foreign_has(f, AIC_FRAMEWORK)) {
        g_autofree char *name = g_ascii_strdown(moe_foreign_text(f, AIC_FRAMEWORK), -1);
        f->row.framework = moe_measured_intern(f->table, name);
    }
    if (moe_foreign_has(f, AIC_VERSION))
        f->row.version = moe_foreign_text(f, AIC_VERSION);
    if (moe_foreign_has(f, AIC_DEVICE))
        f->row.device = moe_foreign_text(f, AIC_DEVICE);
    f->row.kernel = moe_foreign_text(f, AIC_KERNEL);
}
