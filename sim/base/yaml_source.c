#include "sim/base/yaml_source.h"
#include "sim/base/text.h"

#include <string.h>

void
moe_yaml_source_init(moe_yaml_source *source, const char *file, const char *text, size_t length)
{
    bool mark = length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0;
    *source = (moe_yaml_source){file, mark ? text + 3 : text, mark ? length - 3 : length, 0, 0};
}

static bool
source_is_utf16(const moe_yaml_source *source)
{
    return source->length >= 2 &&
           (memcmp(source->text, "\xFF\xFE", 2) == 0 || memcmp(source->text, "\xFE\xFF", 2) == 0);
}

/* Says what is wrong with a character; false when nothing is. */
static bool
source_refuse(const moe_yaml_source *source, gunichar c, size_t at, bool ok, moe_loc loc,
              moe_diag *diag)
{
    unsigned byte = (unsigned char)source->text[at];
    if (byte == 0)
        moe_diag_error(diag, loc, "a NUL byte; this is not a text file");
    else if (!ok)
        moe_diag_error(diag, loc, "byte 0x%02X is not UTF-8 (offset %zu)", byte, at);
    else if (c == 0x85 || c == 0x2028 || c == 0x2029)
        moe_diag_error(diag, loc, "a line separator U+%04X; end lines with LF", (unsigned)c);
    else if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || (c >= 0x7F && c < 0xA0) ||
             c == 0xFEFF || c == 0xFFFE || c == 0xFFFF)
        moe_diag_error(diag, loc, "a control character U+%04X", (unsigned)c);
    else
        return false;
    return true;
}

bool
moe_yaml_source_check(const moe_yaml_source *source, moe_diag *diag)
{
    moe_loc loc = {source->file, 1, 1, 1};
    if (source_is_utf16(source)) {
        moe_diag_error(diag, (moe_loc){source->file, 0, 0, 0}, "UTF-16; save the file as UTF-8");
        return false;
    }
    for (size_t at = 0, bytes; at < source->length; at += bytes) {
        bool ok;
        gunichar c = moe_text_char(source->text, source->length, at, &bytes, &ok);
        if (source_refuse(source, c, at, ok, loc, diag))
            return false;
        bool crlf = c == '\r' && at + 1 < source->length && source->text[at + 1] == '\n';
        if (c == '\n' || (c == '\r' && !crlf)) {
            loc.line++;
            loc.column = 1;
        } else {
            loc.column++;
        }
    }
    return true;
}

int
moe_yaml_source_length(moe_yaml_source *source, size_t start, size_t end)
{
    if (start < source->index) /* an empty scalar can lie before what libyaml said last */
        source->index = source->byte = 0;
    for (; source->index < start && source->byte < source->length; source->index++)
        source->byte += (size_t)g_utf8_skip[(unsigned char)source->text[source->byte]];
    int length = 0, trimmed = 0;
    size_t byte = source->byte;
    for (size_t index = start; index < end && byte < source->length; index++) {
        char c = source->text[byte];
        if (c == '\n' || c == '\r')
            break;
        length++;
        if (c != ' ' && c != '\t')
            trimmed = length;
        byte += (size_t)g_utf8_skip[(unsigned char)c];
    }
    return trimmed;
}
