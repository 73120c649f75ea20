/*
 * subject: base subject extraction, RFC 5256 2.1 and section 5:
 *
 *   subject      = *subj-leader [subj-middle] *subj-trailer
 *   subj-refwd   = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
 *   subj-blob    = "[" *BLOBCHAR "]" *WSP
 *   subj-fwd     = "[fwd:" subject "]"
 *   subj-leader  = (*subj-blob subj-refwd) / WSP
 *   subj-trailer = "(fwd)" / WSP
 *
 * Steps 2 to 6 only move the two ends of a slice inwards, so a subject of any
 * depth of "[fwd:" costs one pass. That blobs stand before a reply mark needs
 * no rule of its own: step 4 takes them off one by one, since what follows is
 * not empty.
 */
#include "mime/subject.h"

/* Step 1: every run of blanks and controls is one space. */
static void squeeze(struct slice s, struct buf *out)
{
	bool blank = false;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];
		if (ch > 0x20) {
			buf_addc(out, (char)ch);
		} else if (!blank) {
			buf_addc(out, ' ');
		}
		blank = ch <= 0x20;
	}
}

/* Step 2. True if a "(fwd)" was among it. */
static bool trailers(struct slice *s)
{
	bool fwd = false;

	for (;;) {
		if (slice_ends(*s, S(" "))) {
			s->n--;
		} else if (slice_iends(*s, S("(fwd)"))) {
			s->n -= 5;
			fwd = true;
		} else {
			return fwd;
		}
	}
}

static struct slice skip_blank(struct slice s)
{
	return slice_starts(s, S(" ")) ? slice_from(s, 1) : s;
}

/* What stands behind a subj-blob; s itself if there is none. */
static struct slice behind_blob(struct slice s)
{
	size_t i = 1;

	if (!s.p || !slice_starts(s, S("["))) {
		return s;
	}
	while (i < s.n && s.p[i] != '[' && s.p[i] != ']') {
		i++;
	}
	return i < s.n && s.p[i] == ']' ? skip_blank(slice_from(s, i + 1)) : s;
}

/* Takes a subj-refwd off. */
static bool refwd(struct slice *s)
{
	size_t n = slice_istarts(*s, S("fwd"))				      ? 3
		   : slice_istarts(*s, S("fw")) || slice_istarts(*s, S("re")) ? 2
									      : 0;
	struct slice rest = behind_blob(skip_blank(slice_from(*s, n)));

	if (n == 0 || !slice_starts(rest, S(":"))) {
		return false;
	}
	*s = slice_from(rest, 1);
	return true;
}

/* Steps 3 to 5. True if a reply or forward mark was among it. */
static bool leaders(struct slice *s)
{
	bool marked = false;

	for (;;) {
		struct slice rest = behind_blob(*s);
		if (slice_starts(*s, S(" "))) {
			*s = slice_from(*s, 1);
		} else if (refwd(s)) {
			marked = true;
		} else if (rest.n > 0 && rest.n < s->n) {
			*s = rest;
		} else {
			return marked;
		}
	}
}

void mime_base_subject(struct slice decoded, struct buf *out, bool *is_reply_out)
{
	struct buf flat = BUF_INIT(decoded.n + 1);
	bool marked = false;
	struct slice s;

	squeeze(decoded, &flat);
	s = buf_slice(&flat);
	for (;;) {
		marked |= trailers(&s);
		marked |= leaders(&s);
		if (!slice_istarts(s, S("[fwd:")) || !slice_ends(s, S("]"))) {
			break;
		}
		s = slice_sub(s, 5, s.n - 6);
		marked = true;
	}
	buf_add(out, s);
	out->err = out->err ? out->err : flat.err;
	buf_fini(&flat);
	if (is_reply_out) {
		*is_reply_out = marked;
	}
}
