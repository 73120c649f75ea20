/*
 * objectid: see objectid.h. Ids are opaque to clients and compared octet for
 * octet.
 */
#include "imap/objectid.h"

#define ID_LEN 33

static void put(struct buf *b, char letter, const unsigned char id[16])
{
	buf_addc(b, letter);
	for (int i = 0; i < 16; i++) {
		buf_printf(b, "%02x", id[i]);
	}
}

static bool is(struct slice text, char letter, const unsigned char id[16])
{
	struct buf b = BUF_INIT(ID_LEN + 1);
	bool same;

	put(&b, letter, id);
	same = slice_eq(text, buf_slice(&b));
	buf_fini(&b);
	return same;
}

void imap_put_emailid(struct buf *b, const unsigned char guid[16])
{
	put(b, 'M', guid);
}

void imap_put_threadid(struct buf *b, const unsigned char thread[16])
{
	put(b, 'T', thread);
}

bool imap_is_emailid(struct slice id, const unsigned char guid[16])
{
	return id.n == ID_LEN && is(id, 'M', guid);
}

bool imap_is_threadid(struct slice id, const unsigned char thread[16])
{
	return id.n == ID_LEN && is(id, 'T', thread);
}
