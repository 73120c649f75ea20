/*
 * control: the server's control socket, <data>/control.sock, mode 0600.
 *
 * One JSON object per line each way (at most CONTROL_LINE_MAX), several in
 * turn per connection. Only root and the server's own uid are served
 * (SO_PEERCRED). Hostile input costs that connection only (THREATS OS-02):
 * too long, not JSON, no object: an error answer, then close.
 */
#ifndef SRV_CONTROL_H
#define SRV_CONTROL_H

#include "srv/admin.h"

#define CONTROL_LINE_MAX (1024u * 1024)
#define CONTROL_CONNECTIONS_MAX 16

struct control;
/* On the calling loop: listens and serves until control_stop. 0 or -errno
 * with *e. site and env outlive it. */
CO_FN int control_start(const char *path, struct site *site, const struct admin_env *env,
			struct control **out, struct err *e);
/*
 * Closes and removes the socket, cancels its coroutines and waits at most ms
 * milliseconds for them: `check` may be in the middle of a long step. 0 and
 * *cp is NULL; else how many are left, and it may be called again.
 */
CO_FN unsigned control_stop(struct control **cp, int64_t ms);

/*
 * Client: one request, one answer; blocking, no loop needed. 0 and *reply
 * (decref); -ENOENT or -ECONNREFUSED: no server there; -errno with *e.
 */
int control_call(const char *path, const json_t *request, json_t **reply, struct err *e);

#endif
