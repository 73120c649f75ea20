/*
 * append_binary: a message that came as literal8 (RFC 3516 4.4) into the
 * store, which keeps mail that any IMAP or POP3 client can be given: what is
 * binary becomes base64 (mime/binary.h). A NUL anywhere else has no form that
 * could be kept: NO [UNKNOWN-CTE].
 */
#include "imap/append.h"

#include "mime/binary.h"

static int put(void *arg, struct slice data)
{
	struct append *a = arg;

	co_enter();
	return store_writer_add(a->next.w, data, &a->e);
}

CO_FN int append_rewrite(struct append *a)
{
	struct mime_binary b = { .in = a->spool, .put = put, .arg = a, .plain = !a->eight };
	int r = mime_binary_write(&b, &a->e);

	if (r == -EILSEQ) {
		imap_no(a->cmd, "[UNKNOWN-CTE] A NUL stands where no binary part is");
		return APPEND_REFUSED;
	}
	return r == STORE_OK ? APPEND_OK : append_no(a, r, &a->e);
}
