/* moesim schema: what a scenario may say, as JSON Schema, for editors. */
#include "analysis/expect.h"
#include "analysis/plot.h"
#include "sim/cli/command.h"
#include "sim/cli/output.h"
#include "sim/machine/scenario.h"

/* Sections that are no rows of the scenario's table. */
static const char sweeps[] =
    "\"sweep\": {\"description\": \"Keys and the values each takes; all combinations are run.\", "
    "\"type\": \"object\", \"additionalProperties\": {\"type\": \"array\", \"minItems\": 1}}, "
    "\"zip\": {\"description\": \"Keys whose values move together; a list of such maps gives "
    "several.\", \"type\": [\"object\", \"array\"]}";
static const char selectors[] =
    "\"of\": {\"description\": \"Swept keys and values: which runs.\", \"type\": \"object\"}, "
    "\"over\": {\"description\": \"The runs to divide by.\", \"type\": \"object\"}";
static const char files[] =
    "\"file\": {\"description\": \"Figures to write: .pdf, .svg, .png, .tex.\", "
    "\"type\": [\"string\", \"array\"]}, "
    "\"where\": {\"description\": \"Swept keys and values: which runs.\", \"type\": \"object\"}";

/* The body of a table's object with further properties, as an object. */
static void
append_object(GString *out, const moe_param_table *table, const char *more)
{
    moe_param_schema(table, out);
    moe_assert(out->len && out->str[out->len - 1] == '}', "the schema of '%s' ends in '%s'",
               table->name, out->str);
    g_string_truncate(out, out->len - 1);
    g_string_append_printf(out, ", %s", more);
}

static void
append_list(GString *out, const char *name, const moe_param_table *table, const char *more)
{
    g_string_append_printf(out, ", \"%s\": {\"type\": \"array\", \"items\": {", name);
    append_object(out, table, more);
    g_string_append(out, "}, \"additionalProperties\": false}}");
}

static int
run(const void *data, const char *const *operands, size_t n)
{
    g_autoptr(GString) out =
        g_string_new("{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\", "
                     "\"title\": \"moesim scenario\", ");
    append_object(out, moe_scenario_table(), sweeps);
    append_list(out, "expect", moe_expect_table(), selectors);
    append_list(out, "plot", moe_plot_table(), files);
    g_string_append(out, "}, \"additionalProperties\": false}\n");
    moe_out_text(out->str);
    return MOE_EXIT_OK;
}

const moe_command moe_schema_command = {
    "schema",
    "",
    0,
    0,
    "Print the JSON Schema of scenarios, for editors.",
    "  moesim schema > scenario.schema.json\n"
    "\n"
    "Then begin scenarios with: # yaml-language-server: $schema=scenario.schema.json\n",
    NULL,
    0,
    0,
    run,
    NULL};
