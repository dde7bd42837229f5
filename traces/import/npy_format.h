/* The npy format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 * (versions 1.0, 2.0, 3.0). The header is a Python literal; only the one form that numpy writes is
 * understood, nothing is evaluated. Object arrays are pickles and refused, as are texts, times and
 * records. Fortran order and big-endian numbers are read as they are. */
#ifndef MOE_TRACES_IMPORT_NPY_FORMAT_H
#define MOE_TRACES_IMPORT_NPY_FORMAT_H

#include "traces/import/array.h"
#include "traces/import/place.h"

/* Whether the bytes begin as an npy file does. */
bool moe_npy_is(const void *bytes, size_t n_bytes);
/* The array that the bytes hold, borrowed; its name is the place's part. False after a message. */
bool moe_npy_parse(moe_array *array, const void *bytes, size_t n_bytes, const moe_place *place);

#endif
