/*
 * text: what strangers wrote, on a terminal. Control characters, those that
 * turn the direction of text or hide it, and what is no UTF-8 come out as
 * \u{...}.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdio.h>

#include "base/slice.h"

/* Returns how many characters it wrote. */
size_t cli_put_text(FILE *to, struct slice s);
/* The same, in a column: blanks follow up to that width, and one more. */
void cli_put_column(FILE *to, struct slice s, size_t width);

#endif
