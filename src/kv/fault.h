/*
 * fault: the seam through which kv_local touches files, with named points.
 *
 * In ordinary operation each call is the plain system call. Tests install
 * faults: the n-th write, sync, rename or fallocate fails with an errno, once
 * or for ever; or the process kills itself (SIGKILL) at the n-th passing of a
 * named point. Faults can also be set by the environment variable
 * POSTRIDER_FAULT ("kill:commit.before_sync:3", "fail:fdatasync:EIO:5",
 * "fail:pwrite:ENOSPC:2+"), read once at open, so that a whole server can be
 * tested; it is honoured only in builds with -Dfaults (sanitizer builds have
 * it; a release build has not).
 */
#ifndef KV_FAULT_H
#define KV_FAULT_H

/* To be completed by the engine: contract in the file comment. */

#endif
