/* The texts of a process, each with a number: domains, names of ranges and kernels. Texts are kept
 * to the end, so that a number can be turned back at any time. Any thread. */
#ifndef MOE_PROFILER_INJECT_TEXT_H
#define MOE_PROFILER_INJECT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

struct moe_batch;

#define MOE_TEXT_LONGEST 32768 /* bytes; longer ones are cut */

/* A hash of a text, for caches in front of the table. */
uint64_t moe_text_hash(const char *text, size_t bytes);
/* The number of a text, > 0; 0 of an empty one, and when there is no room for further ones (which
 * counts as lost). */
uint32_t moe_text_id(const char *text, size_t bytes);
uint32_t moe_text_hashed_id(const char *text, size_t bytes, uint64_t hash);
/* UTF-8 of a wide text; the bytes written, without the zero that ends it. */
size_t moe_text_narrow(const wchar_t *wide, char *out, size_t room);
/* The text of a number, ended by zero; "" of none. It stays. bytes: its length, or NULL. */
const char *moe_text_of(uint32_t id, size_t *bytes);
/* STRINGS of all numbers given since the last call, in a list; NULL: none. */
struct moe_batch *moe_text_take(void);
/* A batch that was taken could not be written: its texts are to be taken again. */
void moe_text_untake(const struct moe_batch *batch);
/* Bytes that are to be taken; forgets that they are. */
size_t moe_text_waiting(void);
void moe_text_drop(void);
/* Around a fork: nothing changes meanwhile. Numbers stay valid in the child (they are handles of
 * NVTX domains and strings), whose log has all texts again. */
void moe_text_hold(void);
void moe_text_release(bool in_child);

#endif
