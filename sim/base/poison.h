/* Included last by hot files (event loop, policies): the GLib conveniences that allocate, lock or
 * log are not for them. */
#ifndef MOE_BASE_POISON_H
#define MOE_BASE_POISON_H

#pragma GCC poison GHashTable GList GSList GString g_log g_malloc g_free g_new g_hash_table_lookup
#pragma GCC poison g_error g_warning g_message

#endif
