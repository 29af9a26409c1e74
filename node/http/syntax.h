// The small grammars of RFC 9110 and 9112 that llhttp leaves to its user. Sans-I/O.
#ifndef FRESHET_NODE_HTTP_SYNTAX_H
#define FRESHET_NODE_HTTP_SYNTAX_H

#include "cluster/base/slice.h"

#include <stdbool.h>

bool syntax_is_token_char(char c); // tchar, RFC 9110, section 5.6.2
bool syntax_is_token(struct slice text);

// uri-host [":" port], not empty (RFC 9110, section 7.2; RFC 3986, section 3.2.2).
bool syntax_is_host(struct slice text);

// What a quoted-string holds (RFC 9110, section 5.6.4; quoted pairs stay as they are). Any other
// text: itself.
struct slice syntax_unquote(struct slice text);

// Whether the comma-separated list holds the token, in any case.
bool syntax_list_has(struct slice list, struct slice token);

#endif
