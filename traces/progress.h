/* How far something that takes long has come: bytes, tokens, sequences done, of those in all (0:
 * unknown). */
#ifndef MOE_TRACES_PROGRESS_H
#define MOE_TRACES_PROGRESS_H

typedef void moe_progress(void *context, double done, double total);

#endif
