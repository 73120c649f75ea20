/*
 * body: sections of a message: BODY[section]<partial> and the RFC822 items
 * (RFC 3501 6.4.5), parsed, found in the part tree, streamed out.
 */
#ifndef IMAP_BODY_H
#define IMAP_BODY_H

#include "imap/impl.h"

#define SECTION_DEPTH_MAX (MIME_DEPTH_MAX + 1) /* part numbers in a section */
#define SECTION_FIELDS_MAX 1000

enum section_what {
	SECTION_ALL,
	SECTION_HEADER,
	SECTION_FIELDS,
	SECTION_FIELDS_NOT,
	SECTION_TEXT,
	SECTION_MIME
};

struct section {
	enum section_what what;
	uint32_t *part;
	size_t n_part;
	struct slice *fields;
	size_t n_fields;
	bool partial;
	uint64_t off;
	uint64_t count;
	struct slice label; /* what the answer is called: "BODY[1]<0>" */
};

/*
 * section = "[" [section-spec] "]" ["<" number "." nz-number ">"], from the
 * "[" on. Memory from the arena; errors in the cursor.
 */
void section_parse(struct cur *c, struct arena *a, struct section *out);
/* The same; a range may also be "<" number ">": to the end. */
void section_parse_open(struct cur *c, struct arena *a, struct section *out);
/* section-spec alone, without brackets or a range (RFC 5092 4); may be empty. */
void section_parse_spec(struct cur *c, struct arena *a, struct section *out);
/* Does it need the part tree, or only the message's size? */
bool section_needs_tree(const struct section *s);
/* Is it some fields of a header, put together from it? */
bool section_is_fields(const struct section *s);

/* Where octets stand in a message as stored. */
struct body_range {
	uint64_t off;
	uint64_t len;
};
/* Where the section stands (all of the header, if it is some fields) in a
 * message of this size. tree: if the section needs it. False: there is no
 * such part. */
bool section_find(const struct section *s, uint64_t size, const struct mime_tree *tree,
		  struct body_range *out);
/* The chosen fields of a header, as they stand, and the empty line. */
void section_pick(const struct section *s, struct slice header, struct buf *out);

/* Reads bytes of a message whole. 0; -ENOENT (gone, or shorter); -errno. */
CO_FN int body_read(struct imap *s, uint32_t uid, uint64_t off, uint64_t len, struct buf *out);

enum body_result {
	BODY_OK = 0,
	BODY_GONE = 1 /* NIL was written: the message is not there any more */
};
/*
 * Writes "label {n}" and the octets. tree may be NULL if the section does not
 * need it, or if the message is gone. chunk: IMAP_CHUNK bytes of scratch.
 * <0: the octets promised could not all be sent; the session must end.
 */
CO_FN int body_write(struct imap *s, const struct store_msg *m, const struct mime_tree *tree,
		     const struct section *sec, char *chunk);

#endif
