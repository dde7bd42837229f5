/* dump FILE…: what stands in raw logs, a line each, for scripts. */
#include "tests/inject/reader.h"

#include <stdio.h>

static void
dump(const raw_log *log)
{
    printf("%s whole=%d closed=%d texts_first=%d ranges=%u steps=%u routes=%u tokens=%u nodes=%u "
           "buffers=%u\n",
           log->name, log->whole, log->closed, log->texts_first, log->ranges->len, log->steps->len,
           log->routes->len, log->tokens->len, log->nodes->len, log->buffers);
    for (guint i = 0; i < log->losses->len; i++) {
        const moe_raw_loss *loss = &g_array_index(log->losses, moe_raw_loss, i);
        printf("lost %s.%s %lu\n", raw_log_text(log, loss->source), raw_log_text(log, loss->what),
               (unsigned long)loss->n);
    }
    for (guint i = 0; i < log->said->len; i++) {
        const moe_raw_diagnostic *said = &g_array_index(log->said, moe_raw_diagnostic, i);
        printf("said %s: %s\n", raw_log_text(log, said->code), raw_log_text(log, said->text));
    }
}

int
main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        raw_log *log = raw_log_read(argv[i]);
        if (log == NULL) {
            fprintf(stderr, "%s cannot be read\n", argv[i]);
            return 1;
        }
        dump(log);
        raw_log_free(log);
    }
    return 0;
}
