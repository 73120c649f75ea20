/*
 * Message-ID scanner: see msgid.h. One octet, one step.
 */
#include "smtp/msgid.h"

enum state {
	LINE,  /* at the start of a line */
	NAME,  /* so far it is the name */
	BLANK, /* behind the name: blanks, then a colon (RFC 5322 4.5) */
	OTHER, /* a line that does not matter */
	EMPTY, /* a CR began the line */
	VALUE,
	FOLD, /* at the start of the line behind the value */
	DONE
};

static const struct slice name = S("message-id");

static enum state at_line(struct smtp_msgid *m, unsigned char c)
{
	if (c == '\n') {
		return DONE;
	}
	if (c == '\r') {
		return EMPTY;
	}
	m->match = 1;
	return ascii_lower(c) == (unsigned char)name.p[0] ? NAME : OTHER;
}

static enum state in_name(struct smtp_msgid *m, unsigned char c)
{
	if (c == '\n') {
		return LINE;
	}
	if (ascii_lower(c) != (unsigned char)name.p[m->match]) {
		return OTHER;
	}
	return ++m->match == name.n ? BLANK : NAME;
}

static enum state in_value(struct smtp_msgid *m, unsigned char c)
{
	if (c == '\n') {
		return FOLD;
	}
	if (c != '\r' && m->n < sizeof(m->text)) {
		m->text[m->n++] = (char)c;
	}
	return VALUE;
}

static enum state step(struct smtp_msgid *m, unsigned char c)
{
	bool blank = c == ' ' || c == '\t';

	switch ((enum state)m->state) {
	case LINE:
		return at_line(m, c);
	case NAME:
		return in_name(m, c);
	case BLANK:
		return c == ':' ? VALUE : blank ? BLANK : c == '\n' ? LINE : OTHER;
	case OTHER:
		return c == '\n' ? LINE : OTHER;
	case EMPTY:
		return c == '\n' ? DONE : OTHER;
	case VALUE:
		return in_value(m, c);
	case FOLD:
		return blank ? in_value(m, c) : DONE;
	case DONE:
		break;
	}
	return DONE;
}

void smtp_msgid_feed(struct smtp_msgid *m, struct slice data)
{
	for (size_t i = 0; i < data.n && m->state != DONE; i++) {
		m->state = (unsigned char)step(m, (unsigned char)data.p[i]);
	}
}

struct slice smtp_msgid_value(const struct smtp_msgid *m)
{
	return slice_trim(slice_make(m->text, m->n));
}
